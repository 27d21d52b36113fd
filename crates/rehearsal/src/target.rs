//! A database that somebody depends on, and a URL that never prints its password.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::postgres::identity::Identity;
use crate::postgres::parameters::{self, Parameter};

/// What a throwaway database is called, where others have their name in `rehearsal.toml`.
pub const SANDBOX: &str = "sandbox";

/// A password. It has no `Display`, and its `Debug` tells nothing.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or an address.
    Tcp(String),
    /// The directory of a Unix socket.
    Socket(PathBuf),
}

/// A named database and how to reach it.
///
/// ```
/// use rehearsal::target::Target;
/// let target = Target::from_url("staging", "postgres://me:s%20ecret@db.example:5433/shop").unwrap();
/// assert_eq!(target.to_string(), "staging (me@db.example:5433/shop)");
/// assert!(!format!("{target:?}").contains("ecret"));
/// ```
#[derive(Debug, Clone)]
pub struct Target {
    name: String,
    host: Host,
    port: u16,
    user: String,
    password: Option<Secret>,
    database: String,
    /// Connection parameters, by libpq's names.
    parameters: Vec<(&'static str, String)>,
    /// Settings that every session begins with (`options`).
    settings: Vec<(String, String)>,
    protected: bool,
    /// What it must be, wherever it is.
    identity: Option<Identity>,
    /// A throwaway server: nothing of the environment is meant for it.
    ours: bool,
}

/// Why a database URL cannot be used. The URL itself is never repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not a URL.
    #[error("the database URL of target `{name}` does not parse: {reason}")]
    Malformed {
        /// The target.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing says where the target is.
    #[error("target `{name}` has no database URL: {variable} is not set")]
    NoUrl {
        /// The target.
        name: String,
        /// The environment variable that was looked at.
        variable: String,
    },
    /// The configuration does not know it.
    #[error("there is no target `{name}`; rehearsal.toml knows: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl TargetError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed { .. } => {
                "write it as postgres://user:password@host:5432/database, with special characters percent-encoded"
                    .into()
            }
            Self::NoUrl { variable, .. } => {
                format!("set {variable}=postgres://user:password@host:5432/database")
            }
            Self::Unknown { name, .. } => {
                format!("add a [targets.{name}] table to rehearsal.toml, or name one of those")
            }
        }
    }
}

const DEFAULT_PORT: u16 = 5432;

impl Target {
    /// Reads a `postgres://` URL. Parameters after `?` are libpq's or sqlx's: `sslmode`, `sslrootcert`,
    /// `sslcert`, `sslkey`, `host`, `options` … One that nobody here knows is refused: it may decide
    /// where the connection leads, or what a statement means there.
    ///
    /// # Errors
    /// [`TargetError::Malformed`], which never repeats the URL.
    pub fn from_url(name: &str, url: &str) -> Result<Self, TargetError> {
        let malformed = |reason: &str| TargetError::Malformed { name: name.to_owned(), reason: reason.to_owned() };
        let parsed = Url::parse(url).map_err(|error| malformed(&error.to_string()))?;
        if !matches!(parsed.scheme(), "postgres" | "postgresql") {
            return Err(malformed("it does not start with postgres:// or postgresql://"));
        }
        let mut host = parsed.host_str().filter(|host| !host.is_empty()).map(decode);
        let mut port = parsed.port();
        let mut user = Some(decode(parsed.username())).filter(|user| !user.is_empty());
        let mut password = parsed.password().map(decode);
        let mut database = Some(decode(parsed.path().trim_start_matches('/'))).filter(|name| !name.is_empty());
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        let mut settings = Vec::new();
        let mut unknown = None;
        for (key, value) in parsed.query_pairs() {
            let value = value.into_owned();
            match &*key {
                "host" | "hostaddr" => host = Some(value),
                "port" => {
                    port = Some(value.parse().map_err(|_| malformed("its port is not a number"))?);
                }
                "user" => user = Some(value),
                "password" => password = Some(value),
                "dbname" => database = Some(value),
                "options" => settings.extend(parameters::read_options(&value).ok_or_else(|| {
                    malformed("its `options` are more than a list of -c NAME=VALUE and --NAME=VALUE")
                })?),
                // libpq's own shorthand in URLs.
                "ssl" if value == "true" => parameters.push(("sslmode", "require".into())),
                key if key.starts_with("options[") && key.ends_with(']') => {
                    settings.push((key["options[".len()..key.len() - 1].to_owned(), value));
                }
                key => match parameters::look_up(key) {
                    Parameter::Keep(name) => parameters.push((name, value)),
                    Parameter::LeaveOut => {}
                    Parameter::Unknown => unknown = unknown.or_else(|| Some(key.to_owned())),
                },
            }
        }
        for (key, value) in &parameters {
            match *key {
                "sslmode" if value.parse::<PgSslMode>().is_err() => {
                    return Err(malformed(
                        "its sslmode is none of disable, allow, prefer, require, verify-ca, verify-full",
                    ));
                }
                parameters::STATEMENT_CACHE if value.parse::<usize>().is_err() => {
                    return Err(malformed("its statement-cache-capacity is not a number"));
                }
                _ => {}
            }
        }
        // Told first: behind an unencoded `?` of a password, all that follows looks like parameters.
        let user = user.ok_or_else(|| malformed("it names no user"))?;
        if let Some(key) = unknown {
            return Err(malformed(&format!("neither sqlx nor libpq could be given its parameter `{key}`")));
        }
        Ok(Self {
            name: name.to_owned(),
            host: match host {
                Some(path) if path.starts_with('/') => Host::Socket(path.into()),
                Some(name) => Host::Tcp(name.trim_matches(['[', ']']).to_owned()),
                None => Host::Tcp("localhost".into()),
            },
            port: port.unwrap_or(DEFAULT_PORT),
            // libpq: the database's name defaults to the user's.
            database: database.unwrap_or_else(|| user.clone()),
            user,
            password: password.map(Secret),
            parameters,
            settings,
            protected: false,
            identity: None,
            ours: false,
        })
    }

    /// A server of our own: no TLS, nothing taken from a URL.
    #[must_use]
    pub fn sandbox(host: Host, port: u16, user: &str, password: Option<&str>, database: &str) -> Self {
        Self {
            name: SANDBOX.into(),
            host,
            port,
            user: user.into(),
            password: password.map(|password| Secret(password.into())),
            database: database.into(),
            parameters: vec![("sslmode", "disable".into())],
            settings: Vec::new(),
            protected: false,
            identity: None,
            ours: true,
        }
    }

    /// Marks it as one that asks before anything is undone on it.
    #[must_use]
    pub fn protected(mut self, protected: bool) -> Self {
        self.protected = protected;
        self
    }

    /// Pins it: a connection to anything else is refused.
    #[must_use]
    pub fn pinned(mut self, identity: Option<Identity>) -> Self {
        self.identity = identity;
        self
    }

    /// Whether it is pinned to one database.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.identity.is_some()
    }

    /// What it is pinned to.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        let identity = self.identity.clone().map(|identity| Identity { database: None, ..identity });
        Self { database: database.into(), identity, ..self.clone() }
    }

    /// The same database as another user with the same password.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        Self { user: user.into(), ..self.clone() }
    }

    /// The same database, with the settings that sessions of another target begin with.
    #[must_use]
    pub fn with_settings_of(&self, other: &Self) -> Self {
        Self { settings: other.settings.clone(), ..self.clone() }
    }

    /// Whether it is a throwaway server of our own.
    pub(crate) fn is_ours(&self) -> bool {
        self.ours
    }

    /// The settings that its sessions begin with.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The password, for a role of a sandbox to be given the same.
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|Secret(password)| password.as_str())
    }

    /// The role that works on it.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Its name in `rehearsal.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Where its server listens.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether destructive acts on it must be confirmed.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected
    }

    /// `user@host:port/database`, without the password.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.host {
            Host::Tcp(host) if host.contains(':') => {
                format!("{}@[{host}]:{}/{}", self.user, self.port, self.database)
            }
            Host::Tcp(host) => format!("{}@{host}:{}/{}", self.user, self.port, self.database),
            Host::Socket(folder) => {
                format!("{}@{}:{}/{}", self.user, folder.display(), self.port, self.database)
            }
        }
    }

    /// What sqlx connects with. Host, port, user, database and name are always set, since sqlx would
    /// take them from libpq's variables otherwise. `PGOPTIONS` is read by it before all of this and
    /// cannot be taken back; what the target's URL sets comes after it, and wins.
    #[must_use]
    pub fn connect_options(&self, application_name: &str) -> PgConnectOptions {
        let mut options = match &self.password {
            Some(Secret(password)) => PgConnectOptions::new_without_pgpass().password(password),
            None if self.ours => PgConnectOptions::new_without_pgpass(),
            None => self.options_with_passfile(),
        }
        .port(self.port)
        .username(&self.user)
        .database(&self.database)
        // Values are read as text, which is exact by itself since PostgreSQL 12; poolers refuse to be told.
        .extra_float_digits(None)
        .application_name(application_name);
        options = match &self.host {
            Host::Tcp(host) => options.host(host),
            Host::Socket(folder) => options.socket(folder),
        };
        for (key, value) in &self.parameters {
            options = match *key {
                // The mode was checked when the URL was read; the strictest one is the safe default.
                "sslmode" => options.ssl_mode(value.parse().unwrap_or(PgSslMode::VerifyFull)),
                "sslrootcert" => options.ssl_root_cert(value),
                "sslcert" => options.ssl_client_cert(value),
                "sslkey" => options.ssl_client_key(value),
                parameters::STATEMENT_CACHE => {
                    value.parse().map_or(options.clone(), |size| options.statement_cache_capacity(size))
                }
                _ => options,
            };
        }
        if self.settings.is_empty() { options } else { options.options(self.settings()) }
    }

    /// sqlx looks into the password file only when it parses a URL, so it is given one.
    fn options_with_passfile(&self) -> PgConnectOptions {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let host = match &self.host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]"),
            Host::Tcp(host) => host.clone(),
            Host::Socket(_) => "localhost".into(),
        };
        format!("postgres://{}@{host}:{}/{}", encode(&self.user), self.port, encode(&self.database))
            .parse()
            .unwrap_or_else(|_| PgConnectOptions::new_without_pgpass())
    }

    /// The same for a child process such as pg_dump: libpq's environment variables, so that
    /// nothing shows in the process list.
    #[must_use]
    pub fn libpq_environment(&self, application_name: &str) -> Vec<(String, String)> {
        let mut environment = vec![
            (
                "PGHOST".to_owned(),
                match &self.host {
                    Host::Tcp(host) => host.clone(),
                    Host::Socket(folder) => folder.display().to_string(),
                },
            ),
            ("PGPORT".to_owned(), self.port.to_string()),
            ("PGUSER".to_owned(), self.user.clone()),
            ("PGDATABASE".to_owned(), self.database.clone()),
            ("PGAPPNAME".to_owned(), application_name.to_owned()),
        ];
        if !self.parameters.iter().any(|(key, _)| *key == "connect_timeout") {
            let seconds = crate::postgres::CONNECT_TIMEOUT.as_secs();
            environment.push(("PGCONNECT_TIMEOUT".to_owned(), seconds.to_string()));
        }
        if let Some(Secret(password)) = &self.password {
            environment.push(("PGPASSWORD".into(), password.clone()));
        }
        let given = self.parameters.iter().filter_map(|(key, value)| Some((parameters::variable(key)?, value)));
        environment.extend(given.map(|(variable, value)| (variable.to_owned(), value.clone())));
        environment
    }

    /// A sandbox's URL with its password: for a child process's environment, never for people.
    #[must_use]
    pub fn sandbox_url(&self) -> String {
        let password = self.password().map_or_else(String::new, |password| format!(":{}", encode(password)));
        let (user, port, database) = (encode(&self.user), self.port, encode(&self.database));
        let mut url = match &self.host {
            Host::Tcp(host) => format!("postgres://{user}{password}@{host}:{port}/{database}?"),
            Host::Socket(folder) => {
                let folder = encode(&folder.display().to_string());
                format!("postgres://{user}{password}@localhost:{port}/{database}?host={folder}&")
            }
        };
        let settings = parameters::write_options(self.settings());
        if !settings.is_empty() {
            url.push_str(&format!("options={}", encode(&settings)));
        }
        url.trim_end_matches(['?', '&']).to_owned()
    }
}

/// What may stand in a URL as it is, a socket's folder included.
const UNENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNENCODED).to_string()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoded_parts_are_decoded() {
        let target = Target::from_url("t", "postgres://a%40b:p%2Bw+%3D@h/d%20b?sslmode=require").expect("parses");
        assert_eq!(target.user, "a@b");
        assert_eq!(target.password.as_ref().map(|p| p.0.as_str()), Some("p+w+="));
        assert_eq!(target.database, "d b");
        assert_eq!(target.address(), "a@b@h:5432/d b");
    }

    #[test]
    fn a_socket_folder_may_stand_in_the_host_or_in_a_parameter() {
        for url in ["postgres://me@%2Frun%2Fpg/d", "postgres://me@localhost/d?host=/run/pg"] {
            let target = Target::from_url("t", url).expect("parses");
            assert_eq!(target.host, Host::Socket("/run/pg".into()), "{url}");
        }
    }

    #[test]
    fn a_malformed_url_is_refused_without_showing_its_password() {
        for url in [
            "postgres://me:hunter2@host:notaport/db",
            "mysql://me:hunter2@h/db",
            "hunter2",
            "postgres://me:hunter2@h/db?sslmode=maybe",
            "postgres://me:1?hunter2@h/db",
            "postgres://me@h/db?sslpassword=hunter2",
        ] {
            let error = Target::from_url("t", url).expect_err("refused");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"), "{error}");
        }
    }
}
