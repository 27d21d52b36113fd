//! The two ways to write where a database is, and service files: text in, libpq's keywords and values out.
//!
//! Reasons never repeat a part of the text: any of it may be a password.

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// Keywords and values in the order of the text; of two with one keyword, the later one counts.
pub(crate) type Pairs = Vec<(String, String)>;

/// Whether this is a URL. Everything else is taken for `keyword=value` words.
pub(crate) fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://") || !text.contains('=') || has_scheme(text)
}

/// A mistyped scheme is no keyword.
fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Reads a URL, with several hosts if it names them (`host:port,host:port`).
pub(crate) fn read_url(text: &str) -> Result<Pairs, &'static str> {
    let rest = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
        .ok_or("it does not start with postgres:// or postgresql://")?;
    if rest.contains('#') {
        return Err("it holds a `#`, behind which nothing is read (write %23)");
    }
    if rest.contains(|c: char| c.is_ascii_control()) {
        return Err("it holds a line break or another control character");
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    // As the url crate, and so sqlx, has it: an `@` in a password need not be encoded.
    let (account, hosts) = match authority.rsplit_once('@') {
        Some((account, hosts)) => (Some(account), hosts),
        None => (None, authority),
    };
    let mut pairs = Pairs::new();
    let mut push = |keyword: &str, value: &str| -> Result<(), &'static str> {
        if !value.is_empty() {
            pairs.push((keyword.to_owned(), decode(value)?));
        }
        Ok(())
    };
    if let Some(account) = account {
        let (user, password) = account.split_once(':').map_or((account, None), |(user, rest)| (user, Some(rest)));
        push("user", user)?;
        push("password", password.unwrap_or_default())?;
    }
    let (hosts, ports) = read_hosts(hosts)?;
    push("host", &hosts)?;
    push("port", &ports)?;
    push("dbname", database)?;
    complete(query)?;
    // `+` is a blank there, as sqlx reads it.
    pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
    no_nul(pairs)
}

/// Each parameter must have its `=`, as libpq wants it too: what lacks one is what follows a `&` in a password, and
/// would be left out of it without a word. libpq takes a `&` at the end, which a password may end with as well.
fn complete(query: &str) -> Result<(), &'static str> {
    let query = match query.strip_suffix('&') {
        Some(rest) if rest.rsplit('&').next().is_some_and(|last| !last.starts_with("password=")) => rest,
        _ => query,
    };
    if query.is_empty() || query.split('&').all(|parameter| parameter.contains('=')) {
        return Ok(());
    }
    Err("one of its parameters has no `=` (a `&` that is part of a value is written %26)")
}

/// Hosts and ports as libpq lists them, with commas between; nothing where all are at their default.
fn read_hosts(text: &str) -> Result<(String, String), &'static str> {
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for place in text.split(',') {
        let (host, port) = if let Some(address) = place.strip_prefix('[') {
            let (address, rest) = address.split_once(']').ok_or("an IPv6 address in it lacks its `]`")?;
            let port = if rest.is_empty() { "" } else { rest.strip_prefix(':').ok_or("invalid port number")? };
            (address, port)
        } else {
            place.split_once(':').unwrap_or((place, ""))
        };
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("invalid port number");
        }
        hosts.push(host);
        ports.push(port);
    }
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    let hosts = if hosts.iter().all(|host| host.is_empty()) { String::new() } else { hosts.join(",") };
    Ok((hosts, ports))
}

/// Reads `keyword=value` words, as libpq does: values may stand in single quotes, a backslash takes the next
/// character as it is, and blanks around `=` do not count.
pub(crate) fn read_keywords(text: &str) -> Result<Pairs, &'static str> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (keyword, value) = rest.split_once('=').ok_or("a keyword in it has no value")?;
        let keyword = keyword.trim_end();
        if keyword.is_empty() || keyword.contains(char::is_whitespace) {
            return Err("a keyword in it has no value");
        }
        let value = value.trim_start();
        let (value, behind) = match value.strip_prefix('\'') {
            Some(quoted) => take(quoted, |c| c == '\'', true)?,
            None => take(value, char::is_whitespace, false)?,
        };
        pairs.push((keyword.to_owned(), value));
        rest = behind.trim_start();
    }
    no_nul(pairs)
}

fn take(text: &str, is_end: impl Fn(char) -> bool, closed: bool) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, next)| next)),
            end if is_end(end) => return Ok((value, &text[at + end.len_utf8()..])),
            other => value.push(other),
        }
    }
    if closed { Err("a quoted value in it does not end") } else { Ok((value, "")) }
}

/// The section of a service file (`pg_service.conf`); nothing when it is not there.
pub(crate) fn read_service(text: &str, service: &str) -> Result<Option<Pairs>, &'static str> {
    let mut found: Option<Pairs> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            if found.is_some() {
                break;
            }
            found = (name == service).then(Pairs::new);
        } else if let Some(pairs) = &mut found {
            let (keyword, value) = line.split_once('=').ok_or("a line of the service is no `keyword=value`")?;
            if keyword == "service" {
                return Err("a service cannot name another one");
            }
            pairs.push((keyword.to_owned(), value.to_owned()));
        }
    }
    found.map(no_nul).transpose()
}

fn decode(text: &str) -> Result<String, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "a percent-encoded part of it is not UTF-8")?;
    Ok(decoded.into_owned())
}

fn no_nul(pairs: Pairs) -> Result<Pairs, &'static str> {
    // The protocol and the environment of a program both end a value there.
    if pairs.iter().any(|(_, value)| value.contains('\0')) { Err("it holds a NUL character") } else { Ok(pairs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn shown(pairs: &Pairs) -> String {
        pairs.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn urls_with_one_host_or_several() {
        for (url, expected) in [
            (
                "postgres://me:p%40ss@h:5433/d?sslmode=require",
                "user=me password=p@ss host=h port=5433 dbname=d sslmode=require",
            ),
            ("postgresql://me@[::1]:5433/d", "user=me host=::1 port=5433 dbname=d"),
            ("postgres://me@a:1,b:2,[::1]/d", "user=me host=a,b,::1 port=1,2, dbname=d"),
            ("postgres://me@%2Frun%2Fpg/d", "user=me host=/run/pg dbname=d"),
            ("postgres:///d?host=/run/pg&user=me", "dbname=d host=/run/pg user=me"),
            ("postgres://me%40server:p@ss@h/d", "user=me@server password=p@ss host=h dbname=d"),
            ("postgres://?service=x", "service=x"),
            (
                "postgres://me@h/d?password=a%26b=&sslmode=disable&",
                "user=me host=h dbname=d password=a&b= sslmode=disable",
            ),
        ] {
            assert_eq!(read_url(url).map(|pairs| shown(&pairs)), Ok(expected.to_owned()), "{url}");
        }
        for url in [
            "postgres://me:a#b@h/d",
            "postgres://me@h:5x/d",
            "postgres://me@[::1/d",
            "postgres://me:%ff@h/d",
            "postgres://me:%00@h/d",
            "postgres://me:a\nb@h/d",
            "mysql://me@h/d",
            "postgres://me@h/d?password=a&b",
            "postgres://me@h/d?password=a&&sslmode=disable",
            "postgres://me@h/d?password=a&",
        ] {
            assert!(read_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn keywords_as_libpq_reads_them() {
        let pairs =
            read_keywords(r" host = h  user='me and \'you\\' password=a\ b\'c dbname='' ").expect("they are read");
        assert_eq!(shown(&pairs), r"host=h user=me and 'you\ password=a b'c dbname=");
        for text in ["host", "host=h user", "host='h", "host=h x y=1"] {
            assert!(read_keywords(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_section_of_a_service_file() {
        let text = "# all of them\n[a]\nhost=x\n\n[b]\nhost=y\nport=6\n[b]\nhost=z\n";
        assert_eq!(read_service(text, "b").expect("it is read").as_ref().map(shown), Some("host=y port=6".into()));
        assert_eq!(read_service(text, "c"), Ok(None));
        assert!(read_service("[a]\nservice=b\n", "a").is_err());
    }

    proptest! {
        #[test]
        fn any_password_comes_back(password in "[^\0]{1,20}") {
            let encoded = utf8_percent_encode(&password, NON_ALPHANUMERIC);
            let pairs = read_url(&format!("postgres://me:{encoded}@h/d")).expect("it is read");
            prop_assert_eq!(&pairs[1].1, &password);
            let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
            let pairs = read_keywords(&format!("user=me password='{quoted}' host=h")).expect("it is read");
            prop_assert_eq!(&pairs[1].1, &password);
        }
    }
}
