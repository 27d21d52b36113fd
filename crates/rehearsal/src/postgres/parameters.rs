//! Connection parameters: how URLs spell them, and the environment variables in which libpq takes them.

/// libpq's parameters that a child program is given by libpq's own variable. sqlx knows the first four;
/// what the others ask for is left to the child programs.
const VARIABLES: &[(&str, &str)] = &[
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("gssdelegation", "PGGSSDELEGATION"),
    ("gssencmode", "PGGSSENCMODE"),
    ("gsslib", "PGGSSLIB"),
    ("krbsrvname", "PGKRBSRVNAME"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    ("min_protocol_version", "PGMINPROTOCOLVERSION"),
    ("passfile", "PGPASSFILE"),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("requiressl", "PGREQUIRESSL"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslcompression", "PGSSLCOMPRESSION"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslsni", "PGSSLSNI"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// libpq's variables that decide where a connection leads and what its session is: the target says
/// that, or nobody. (Of libpq's documentation, "Environment Variables"; a service or a host address
/// would win over host and database, in whatever way those are given.)
const DECIDED_BY_THE_TARGET: &[&str] = &[
    "PGAPPNAME",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGGEQO",
    "PGHOST",
    "PGHOSTADDR",
    "PGLOADBALANCEHOSTS",
    "PGLOCALEDIR",
    "PGOPTIONS",
    "PGPORT",
    "PGREALM",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLKEYLOGFILE",
    "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
    "PGUSER",
];

/// Where libpq looks for a password that the URL does not hold.
const PASSWORD: &[&str] = &["PGPASSWORD", "PGPASSFILE"];

/// libpq's variables that a child program must not take over from us. A target whose URL says nothing
/// of passwords and TLS may have both from the environment, as sqlx has them. A server of our own
/// needs neither, and where the environment was read already, what it says is part of the target.
pub(crate) fn not_inherited(complete: bool) -> impl Iterator<Item = &'static str> {
    let of_the_user = PASSWORD.iter().copied().chain(VARIABLES.iter().map(|(_, variable)| *variable));
    DECIDED_BY_THE_TARGET.iter().copied().chain(of_the_user.filter(move |_| complete))
}

/// libpq's variables for where a connection leads, with the keywords that they stand for.
const PLACE: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("service", "PGSERVICE"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// The variables that say where a connection leads, for a target that has no URL; with their keywords.
pub(crate) fn of_the_place() -> impl Iterator<Item = (&'static str, &'static str)> {
    PLACE.iter().copied()
}

/// The variables that count beside a URL as well, with their keywords: passwords, TLS and settings.
pub(crate) fn beside_a_url() -> impl Iterator<Item = (&'static str, &'static str)> {
    let others = VARIABLES.iter().copied().filter(|(_, variable)| !DECIDED_BY_THE_TARGET.contains(variable));
    [("password", "PGPASSWORD"), ("options", "PGOPTIONS")].into_iter().chain(others)
}

/// What libpq would do for a parameter and sqlx does not, although the user relies on it; with what to
/// write instead. A server whose certificate and name are verified cannot be another one, which is what
/// the first two are there for.
pub(crate) fn not_done(name: &str, value: &str, verified: bool) -> Option<&'static str> {
    const VERIFY: &str = "write sslmode=verify-full instead, with sslrootcert=FILE, or sslrootcert=system where a public authority signs";
    match name {
        "channel_binding" if value == "require" && !verified => Some(VERIFY),
        "require_auth" if !verified => Some(VERIFY),
        "requirepeer" => Some("leave it out: the folder of the socket must be one that nobody else can write"),
        "gssencmode" if value == "require" => Some("use TLS instead: sslmode=verify-full"),
        "sslcrl" | "sslcrldir" => Some("leave it out, or connect through a proxy that looks at revoked certificates"),
        _ => None,
    }
}

/// Parameters without a variable that change neither where a connection leads nor what it may do:
/// both sides have defaults for them. (Applications' encoding is UTF8 on both, whatever is asked for.)
const LEFT_OUT: &[&str] = &[
    "application_name",
    "client_encoding",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
];

/// Parameters that libpq takes and that cannot be handed on: neither does sqlx know them, nor is there a variable.
/// Only their names may be told: what is no parameter at all may be a piece of a password.
const NOT_TAKEN: &[&str] = &[
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "replication",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "ssl",
    "sslkeylogfile",
    "sslpassword",
];

/// sqlx's own parameter, which libpq lacks.
pub(crate) const STATEMENT_CACHE: &str = "statement-cache-capacity";

/// What is to be done with a parameter of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// Keep it, under libpq's name (or sqlx's, for what only sqlx has).
    Keep(&'static str),
    /// It may be left out.
    LeaveOut,
    /// libpq knows it, and nobody here can do what it asks for.
    NotTaken(&'static str),
    /// Not even libpq knows it.
    Unknown,
}

/// Looks a parameter up, by libpq's name or one of sqlx's.
pub(crate) fn look_up(key: &str) -> Parameter {
    let name = match key {
        "ssl-mode" => "sslmode",
        "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        "statement-cache-capacity" => return Parameter::Keep(STATEMENT_CACHE),
        other => other,
    };
    match VARIABLES.iter().find(|(known, _)| *known == name) {
        Some((known, _)) => Parameter::Keep(known),
        None if LEFT_OUT.contains(&name) => Parameter::LeaveOut,
        None => NOT_TAKEN
            .iter()
            .find(|known| **known == name)
            .map_or(Parameter::Unknown, |known| Parameter::NotTaken(known)),
    }
}

/// libpq's variable for a parameter.
pub(crate) fn variable(name: &str) -> Option<&'static str> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
}

/// Reads the text of `options`, `-c NAME=VALUE` and `--NAME=VALUE` separated by spaces, as the server
/// does (`pg_split_opts`): a backslash takes the next character as it is. Nothing for anything else.
pub(crate) fn read_options(text: &str) -> Option<Vec<(String, String)>> {
    let mut words = split(text).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next()?
        } else {
            word.strip_prefix("--").or_else(|| word.strip_prefix("-c"))?.to_owned()
        };
        let (name, value) = assignment.split_once('=')?;
        // The server takes `--search-path` for `search_path`.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Some(settings)
}

fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Settings as the text of `PGOPTIONS`.
pub(crate) fn write_options<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in settings {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str("-c ");
        for character in name.chars().chain(['=']).chain(value.chars()) {
            if character == '\\' || character.is_ascii_whitespace() {
                text.push('\\');
            }
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_complete_takes_nothing_from_the_environment() {
        assert!(not_inherited(false).all(|variable| variable != "PGPASSWORD" && variable != "PGSSLMODE"));
        for variable in ["PGSERVICE", "PGHOSTADDR", "PGPASSWORD", "PGSSLMODE", "PGPASSFILE"] {
            assert!(not_inherited(true).any(|other| other == variable), "{variable}");
        }
    }

    #[test]
    fn options_are_read_as_the_server_reads_them_and_written_back() {
        let settings =
            read_options(r"-c search_path=a\ b,c  -cgeqo=off --work-mem=4MB -c x.y=1\\2").expect("they are read");
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(settings, [("search_path", "a b,c"), ("geqo", "off"), ("work_mem", "4MB"), ("x.y", r"1\2")]);
        let text = write_options(settings.iter().copied());
        assert_eq!(text, r"-c search_path=a\ b,c -c geqo=off -c work_mem=4MB -c x.y=1\\2");
        for other in ["-d 5", "-c", "-c geqo", "geqo=off"] {
            assert_eq!(read_options(other), None, "{other}");
        }
    }
}
