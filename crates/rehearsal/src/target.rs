//! A database that somebody depends on, and a URL that never prints its password.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::postgres::conninfo::{self, Pairs};
use crate::postgres::identity::Identity;
use crate::postgres::journal::JournalConfig;
use crate::postgres::libpq::Libpq;
use crate::postgres::parameters::{self, Parameter};
use crate::postgres::passfile::{self, Passfile, Wanted};
use crate::postgres::{CONNECT_TIMEOUT, tls};

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

/// One of the places where a target may be.
#[derive(Debug, Clone)]
struct Place {
    host: Host,
    port: u16,
    password: Option<Secret>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Host::Tcp(host) => write!(f, "{host}:{}", self.port),
            Host::Socket(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}

/// What a session must be (libpq's `target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Whatever it is.
    Any,
    /// One that writes by default.
    ReadWrite,
    /// One that does not.
    ReadOnly,
    /// Not a standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby if one answers.
    PreferStandby,
}

impl Role {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return None,
        })
    }

    /// As it stands in a URL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }
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
    /// At least one.
    places: Vec<Place>,
    /// The place that has answered: from then on it is the only one, for every copy of this value.
    chosen: Arc<OnceLock<usize>>,
    role: Role,
    user: String,
    database: String,
    /// Connection parameters, by libpq's names.
    parameters: Vec<(&'static str, String)>,
    /// Settings that every session begins with (`options`).
    settings: Vec<(String, String)>,
    protected: bool,
    /// What it must be, wherever it is.
    identity: Option<Identity>,
    /// Where our own tables are.
    journal: Arc<JournalConfig>,
    /// Nothing of the environment is to be added: it was read already, or is not meant for it.
    complete: bool,
    /// A password file that was left alone, as others may read it.
    passfile_left_alone: Option<PathBuf>,
    connect_timeout: Duration,
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
    /// A parameter that there is not. Its name is not repeated: it may be what follows a `&` in a password.
    #[error("the database URL of target `{name}` holds a parameter that libpq does not know")]
    UnknownParameter {
        /// The target.
        name: String,
    },
    /// It asks for what is not done here, or for what only one of sqlx and libpq could do.
    #[error("the database URL of target `{name}` asks for what cannot be done: {what}")]
    NotDone {
        /// The target.
        name: String,
        /// What.
        what: String,
        /// What to write instead.
        instead: String,
    },
    /// The service that it names cannot be used.
    #[error("the service that target `{name}` names cannot be used: {reason}")]
    Service {
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
            Self::UnknownParameter { .. } => {
                "write its parameters as libpq does (sslmode, options, connect_timeout …), and a `&` that is part of a \
                 value as %26"
                    .into()
            }
            Self::NotDone { instead, .. } => instead.clone(),
            Self::Service { .. } => {
                "write a section of that name into ~/.pg_service.conf, or name its file in PGSERVICEFILE".into()
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
    /// Reads a `postgres://` URL, or libpq's `keyword=value` words. Parameters after `?` are libpq's or
    /// sqlx's: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host`, `options` … One that nobody here
    /// knows is refused: it may decide where the connection leads, or what a statement means there.
    ///
    /// # Errors
    /// [`TargetError`], which never repeats the URL.
    pub fn from_url(name: &str, url: &str) -> Result<Self, TargetError> {
        Self::from_pairs(name, read(name, url)?, None)
    }

    /// The same, with all that libpq would add on this machine: services, variables, password files,
    /// certificates. Without a URL, the variables say where it is.
    ///
    /// # Errors
    /// [`TargetError`], which never repeats the URL.
    pub fn on_machine(name: &str, url: Option<&str>, libpq: &Libpq) -> Result<Self, TargetError> {
        let written = url.map(|url| read(name, url)).transpose()?;
        let service = |reason| TargetError::Service { name: name.to_owned(), reason };
        let pairs = libpq.complete(written).map_err(service)?;
        Self::from_pairs(name, pairs, Some(libpq))
    }

    /// Of two values for one keyword, the later one counts.
    fn from_pairs(name: &str, pairs: Pairs, libpq: Option<&Libpq>) -> Result<Self, TargetError> {
        let malformed = |reason: &str| malformed(name, reason);
        let not_done =
            |(what, instead): (String, String)| TargetError::NotDone { name: name.to_owned(), what, instead };
        let mut hosts = None;
        let mut addresses = None;
        let mut ports = None;
        let mut user = None;
        let mut password = None;
        let mut database = None;
        let mut role = Role::Any;
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        let mut settings = Vec::new();
        let mut not_taken = None;
        for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            match &*key {
                "host" => hosts = Some(value),
                "hostaddr" => addresses = Some(value),
                "port" => ports = Some(value),
                "user" => user = Some(value),
                "password" => password = Some(value),
                "dbname" => database = Some(value),
                "target_session_attrs" => {
                    role =
                        Role::parse(&value).ok_or_else(|| malformed("its target_session_attrs is none of libpq's"))?;
                }
                "options" => settings.extend(parameters::read_options(&value).ok_or_else(|| {
                    malformed("its `options` are more than a list of -c NAME=VALUE and --NAME=VALUE")
                })?),
                // libpq's own shorthand in URLs.
                "ssl" if value == "true" => parameters.push(("sslmode", "require".into())),
                key if key.starts_with("options[") && key.ends_with(']') => {
                    settings.push((key["options[".len()..key.len() - 1].to_owned(), value));
                }
                key => match parameters::look_up(key) {
                    Parameter::Keep(name) => {
                        parameters.retain(|(known, _)| *known != name);
                        parameters.push((name, value));
                    }
                    Parameter::LeaveOut => {}
                    Parameter::NotTaken(name) => {
                        let reason = format!("neither sqlx nor libpq could be given its parameter `{name}`");
                        not_taken = not_taken.or_else(|| Some(malformed(&reason)));
                    }
                    Parameter::Unknown => {
                        not_taken = not_taken.or_else(|| Some(TargetError::UnknownParameter { name: name.to_owned() }));
                    }
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
        if let Some(refused) = not_taken {
            return Err(refused);
        }
        // libpq: the database's name defaults to the user's.
        let database = database.unwrap_or_else(|| user.clone());
        let names_host = hosts.is_some();
        let mut places = places(addresses.as_deref().or(hosts.as_deref()), ports.as_deref()).map_err(malformed)?;
        if places.iter().any(|place| matches!(place.host, Host::Tcp(_)))
            && let Some(libpq) = libpq
        {
            tls::complete(&mut parameters, libpq).map_err(not_done)?;
        }
        let verified = tls::value(&parameters, "sslmode") == Some("verify-full");
        if verified && names_host && addresses.is_some() {
            let what = "with hostaddr, sslmode=verify-full would compare the certificate with the address";
            return Err(not_done((what.into(), "leave out hostaddr".into())));
        }
        let not_known = parameters.iter().find_map(|(key, value)| {
            Some((format!("sqlx does not know {key}"), parameters::not_done(key, value, verified)?.to_owned()))
        });
        if let Some(refused) = not_known {
            return Err(not_done(refused));
        }
        let mut passfile_left_alone = None;
        if password.is_none()
            && let Some(path) = passfile_of(&parameters, libpq)
        {
            match passfile::read(&path) {
                Passfile::Text(text) => places.iter_mut().for_each(|place| place.look_up(&text, &database, &user)),
                Passfile::OpenToOthers => passfile_left_alone = Some(path),
                Passfile::Missing => {}
            }
        }
        for place in &mut places {
            place.password = place.password.take().or_else(|| password.clone().map(Secret));
        }
        let connect_timeout = tls::value(&parameters, "connect_timeout").and_then(seconds).unwrap_or(CONNECT_TIMEOUT);
        Ok(Self {
            name: name.to_owned(),
            places,
            chosen: Arc::default(),
            role,
            database,
            user,
            parameters,
            settings,
            protected: false,
            identity: None,
            journal: Arc::default(),
            complete: libpq.is_some(),
            passfile_left_alone,
            connect_timeout,
        })
    }

    /// A server of our own: no TLS, nothing taken from a URL.
    #[must_use]
    pub fn sandbox(host: Host, port: u16, user: &str, password: Option<&str>, database: &str) -> Self {
        Self {
            name: SANDBOX.into(),
            places: vec![Place { host, port, password: password.map(|password| Secret(password.into())) }],
            chosen: Arc::default(),
            role: Role::Any,
            user: user.into(),
            database: database.into(),
            parameters: vec![("sslmode", "disable".into())],
            settings: Vec::new(),
            protected: false,
            identity: None,
            journal: Arc::default(),
            complete: true,
            passfile_left_alone: None,
            connect_timeout: CONNECT_TIMEOUT,
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

    /// Whether it may be in one of several places (`host=a,b`).
    #[must_use]
    pub fn has_several_places(&self) -> bool {
        self.places.len() > 1
    }

    /// Says where our own tables are.
    #[must_use]
    pub fn keeping_journal(mut self, journal: JournalConfig) -> Self {
        self.journal = Arc::new(journal);
        self
    }

    /// Where our own tables are.
    #[must_use]
    pub fn journal(&self) -> &JournalConfig {
        &self.journal
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

    /// Whether it says all by itself, so that nothing of the environment is to be added.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The place that has answered, else the first.
    fn place(&self) -> &Place {
        &self.places[self.chosen.get().copied().unwrap_or_default()]
    }

    /// Each of the places by itself, in their order; only the one that has answered, once one has.
    pub(crate) fn each_place(&self) -> Vec<(usize, Self)> {
        let at = |index: usize| {
            let chosen = Arc::new(OnceLock::from(index));
            (index, Self { chosen, ..self.clone() })
        };
        match self.chosen.get() {
            Some(&index) => vec![at(index)],
            None => (0..self.places.len()).map(at).collect(),
        }
    }

    /// From now on, this is where it is.
    pub(crate) fn choose(&self, index: usize) {
        let _ = self.chosen.set(index);
    }

    /// What its sessions must be.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// How long a connection may take to open.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// A password file that was left alone, as others may read it.
    pub(crate) fn passfile_left_alone(&self) -> Option<&std::path::Path> {
        self.passfile_left_alone.as_deref()
    }

    /// The modes of TLS to try, in their order: libpq goes on with the second where the server does not
    /// let it in with the first.
    pub(crate) fn tls_modes(&self) -> &'static [PgSslMode] {
        if matches!(self.place().host, Host::Socket(_)) {
            return &[PgSslMode::Disable];
        }
        match tls::value(&self.parameters, "sslmode") {
            Some("disable") => &[PgSslMode::Disable],
            Some("allow") => &[PgSslMode::Disable, PgSslMode::Require],
            // As libpq: with roots at hand, the server is compared with them.
            Some("require") if tls::value(&self.parameters, "sslrootcert").is_some() => &[PgSslMode::VerifyCa],
            Some("require") => &[PgSslMode::Require],
            Some("verify-ca") => &[PgSslMode::VerifyCa],
            Some("prefer") => &[PgSslMode::Prefer, PgSslMode::Disable],
            None if self.complete => &[PgSslMode::Prefer, PgSslMode::Disable],
            None => &[],
            // The mode was checked when the URL was read; the strictest one is the safe default.
            Some(_) => &[PgSslMode::VerifyFull],
        }
    }

    /// The settings that its sessions begin with.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The password, for a role of a sandbox to be given the same.
    pub(crate) fn password(&self) -> Option<&str> {
        self.place().password.as_ref().map(|Secret(password)| password.as_str())
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
        &self.place().host
    }

    /// Whether destructive acts on it must be confirmed.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected
    }

    /// `user@host:port/database`, without the password.
    #[must_use]
    pub fn address(&self) -> String {
        let place = match self.chosen.get() {
            Some(_) => self.place().to_string(),
            None => self.places.iter().map(Place::to_string).collect::<Vec<_>>().join(","),
        };
        format!("{}@{place}/{}", self.user, self.database)
    }

    /// What sqlx connects with. Host, port, user, database and name are always set, since sqlx would
    /// take them from libpq's variables otherwise. `PGOPTIONS` is read by it before all of this and
    /// cannot be taken back; what the target's URL sets comes after it, and wins.
    #[must_use]
    pub fn connect_options(&self, application_name: &str) -> PgConnectOptions {
        let place = self.place();
        let mut options = match &place.password {
            Some(Secret(password)) => PgConnectOptions::new_without_pgpass().password(password),
            None if self.complete => PgConnectOptions::new_without_pgpass(),
            None => self.options_with_passfile(),
        }
        .port(place.port)
        .username(&self.user)
        .database(&self.database)
        // Values are read as text, which is exact by itself since PostgreSQL 12; poolers refuse to be told.
        .extra_float_digits(None)
        .application_name(application_name);
        options = match &place.host {
            Host::Tcp(host) => options.host(host),
            Host::Socket(folder) => options.socket(folder),
        };
        for (key, value) in &self.parameters {
            options = match *key {
                "sslrootcert" => options.ssl_root_cert(value),
                "sslcert" => options.ssl_client_cert(value),
                "sslkey" => options.ssl_client_key(value),
                parameters::STATEMENT_CACHE => {
                    value.parse().map_or(options.clone(), |size| options.statement_cache_capacity(size))
                }
                _ => options,
            };
        }
        if let Some(mode) = self.tls_modes().first() {
            options = options.ssl_mode(*mode);
        }
        if self.settings.is_empty() { options } else { options.options(self.settings()) }
    }

    /// sqlx looks into the password file only when it parses a URL, so it is given one.
    fn options_with_passfile(&self) -> PgConnectOptions {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let Place { host, port, .. } = self.place();
        let host = match host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]"),
            Host::Tcp(host) => host.clone(),
            Host::Socket(_) => "localhost".into(),
        };
        format!("postgres://{}@{host}:{port}/{}", encode(&self.user), encode(&self.database))
            .parse()
            .unwrap_or_else(|_| PgConnectOptions::new_without_pgpass())
    }

    /// The same for a child process such as pg_dump: libpq's environment variables, so that
    /// nothing shows in the process list.
    #[must_use]
    pub fn libpq_environment(&self, application_name: &str) -> Vec<(String, String)> {
        let place = self.place();
        let mut environment = vec![
            (
                "PGHOST".to_owned(),
                match &place.host {
                    Host::Tcp(host) => host.clone(),
                    Host::Socket(folder) => folder.display().to_string(),
                },
            ),
            ("PGPORT".to_owned(), place.port.to_string()),
            ("PGUSER".to_owned(), self.user.clone()),
            ("PGDATABASE".to_owned(), self.database.clone()),
            ("PGAPPNAME".to_owned(), application_name.to_owned()),
        ];
        if !self.parameters.iter().any(|(key, _)| *key == "connect_timeout") {
            let seconds = CONNECT_TIMEOUT.as_secs();
            environment.push(("PGCONNECT_TIMEOUT".to_owned(), seconds.to_string()));
        }
        if let Some(Secret(password)) = &place.password {
            environment.push(("PGPASSWORD".into(), password.clone()));
        }
        let given = self.parameters.iter().filter_map(|(key, value)| Some((parameters::variable(key)?, value)));
        environment.extend(given.map(|(variable, value)| (variable.to_owned(), value.clone())));
        environment
    }

    /// A sandbox's URL with its password: for a child process's environment, never for people.
    #[must_use]
    pub fn sandbox_url(&self) -> String {
        self.url_with(&[])
    }

    /// Its URL as sqlx takes it, with its password: for a program that is handed it where nobody sees it.
    #[must_use]
    pub fn sqlx_url(&self) -> String {
        let value = |name| tls::value(&self.parameters, name);
        let mode = match (&self.place().host, value("sslmode"), value("sslrootcert")) {
            (Host::Socket(_), ..) => Some("disable"),
            (_, Some("require"), Some(_)) => Some("verify-ca"),
            (_, mode, _) => mode,
        };
        let others = ["sslrootcert", "sslcert", "sslkey", parameters::STATEMENT_CACHE].map(|name| (name, value(name)));
        self.url_with(&[&[("sslmode", mode)], &others[..]].concat())
    }

    fn url_with(&self, parameters: &[(&str, Option<&str>)]) -> String {
        let Place { host, port, .. } = self.place();
        let password = self.password().map_or_else(String::new, |password| format!(":{}", encode_name(password)));
        let (user, database) = (encode_name(&self.user), encode_name(&self.database));
        let mut url = match host {
            // sqlx takes the brackets of an address for a part of it, where a host stands usually.
            Host::Tcp(host) if host.contains(':') => {
                format!("postgres://{user}{password}@localhost:{port}/{database}?host={}&", encode(host))
            }
            Host::Tcp(host) => format!("postgres://{user}{password}@{host}:{port}/{database}?"),
            Host::Socket(folder) => {
                let folder = encode(&folder.display().to_string());
                format!("postgres://{user}{password}@localhost:{port}/{database}?host={folder}&")
            }
        };
        let settings = parameters::write_options(self.settings());
        if !settings.is_empty() {
            url.push_str(&format!("options={}&", encode(&settings)));
        }
        let given = parameters.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        given.for_each(|(name, value)| url.push_str(&format!("{name}={}&", encode(value))));
        url.trim_end_matches(['?', '&']).to_owned()
    }
}

impl Place {
    fn look_up(&mut self, passfile: &str, database: &str, user: &str) {
        let folder;
        let hosts: &[&str] = match &self.host {
            Host::Tcp(host) => &[host],
            // libpq knows a socket's folder by its path, and the usual one as `localhost`; sqlx all of them so.
            Host::Socket(path) => {
                folder = path.display().to_string();
                &[&folder, "localhost"]
            }
        };
        self.password = passfile::look_up(passfile, Wanted { hosts, port: self.port, database, user }).map(Secret);
    }
}

fn malformed(name: &str, reason: &str) -> TargetError {
    TargetError::Malformed { name: name.to_owned(), reason: reason.to_owned() }
}

fn read(name: &str, text: &str) -> Result<Pairs, TargetError> {
    // What a file is read into a variable with ends in a line break.
    let text = text.trim();
    let read = if conninfo::is_url(text) { conninfo::read_url(text) } else { conninfo::read_keywords(text) };
    read.map_err(|reason| malformed(name, reason))
}

/// Hosts and ports are lists of the same length; one port may be for all.
fn places(hosts: Option<&str>, ports: Option<&str>) -> Result<Vec<Place>, &'static str> {
    let hosts: Vec<&str> = hosts.unwrap_or_default().split(',').collect();
    let ports: Vec<&str> = ports.unwrap_or_default().split(',').collect();
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err("it does not name as many ports as hosts");
    }
    let place = |(index, host): (usize, &&str)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or_default().trim();
        let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().map_err(|_| "invalid port number")? };
        let host = match host.trim() {
            "" => Host::Tcp("localhost".into()),
            path if path.starts_with('/') => Host::Socket(path.into()),
            name => Host::Tcp(name.trim_matches(['[', ']']).to_owned()),
        };
        Ok(Place { host, port, password: None })
    };
    hosts.iter().enumerate().map(place).collect()
}

/// The password file that the target names, else the user's.
fn passfile_of(parameters: &Vec<(&'static str, String)>, libpq: Option<&Libpq>) -> Option<PathBuf> {
    let libpq = libpq?;
    tls::value(parameters, "passfile").map(PathBuf::from).or_else(|| libpq.passfile())
}

/// libpq's whole seconds: no less than two, and 0 waits for ever, which nothing here does.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.max(2)))
}

/// What may stand in a URL as it is, a socket's folder included.
const UNENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same for a name or a password: a slash would end it.
fn encode_name(text: &str) -> String {
    encode(text).replace('/', "%2F")
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNENCODED).to_string()
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
        assert_eq!(target.password(), Some("p+w+="));
        assert_eq!(target.database, "d b");
        assert_eq!(target.address(), "a@b@h:5432/d b");
    }

    #[test]
    fn a_socket_folder_may_stand_in_the_host_or_in_a_parameter() {
        for url in ["postgres://me@%2Frun%2Fpg/d", "postgres://me@localhost/d?host=/run/pg"] {
            let target = Target::from_url("t", url).expect("parses");
            assert_eq!(target.host(), &Host::Socket("/run/pg".into()), "{url}");
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
            "postgres://me@h/db?password=s3c&hunter2=1",
            "host=h user=me password=s3c hunter2=1",
        ] {
            let error = Target::from_url("t", url).expect_err("refused");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"), "{error}");
        }
    }
}
