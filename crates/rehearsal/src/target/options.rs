//! A target in the words of those who connect to it: sqlx, libpq's programs, and whoever takes a URL.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::database::Target;
use super::place::{Host, Place, Secret};
use crate::postgres::{CONNECT_TIMEOUT, parameters, tls};

impl Target {
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

/// What may stand in a URL as it is, a socket's folder included.
const UNENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same for a name or a password: a slash would end it.
fn encode_name(text: &str) -> String {
    encode(text).replace('/', "%2F")
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNENCODED).to_string()
}
