//! Settings from the environment, checked before anything is started: whoever deploys hears of
//! all problems at once, not of one a restart.

use std::{
    env::{self, VarError},
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use rehearsal::startup::StartupPolicy;
use sqlx::postgres::PgConnectOptions;

/// What the service needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database, from `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// Where to listen: `APP_ADDR`, else every interface at `PORT`, else `127.0.0.1:8080`.
    pub address: SocketAddr,
    /// What to do about pending migrations at start: `APP_MIGRATE`, else apply them.
    pub migrate: StartupPolicy,
    /// Whether the session cookie is kept to HTTPS (browsers count loopback as secure):
    /// `APP_SECURE_COOKIES`, else yes.
    pub secure_cookies: bool,
}

/// A database URL that never prints itself, because it may hold a password.
#[derive(Clone)]
pub struct DatabaseUrl(String);

/// Every setting that is missing or malformed.
#[derive(Debug, thiserror::Error)]
#[error("the environment needs attention:\n  - {}", .problems.join("\n  - "))]
pub struct ConfigError {
    /// One sentence for each problem; none of them repeats a secret.
    pub problems: Vec<String>,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Lists everything that is missing or malformed.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| env::var(name))
    }

    /// Reads settings from anything that answers like [`std::env::var`].
    ///
    /// # Errors
    /// Lists everything that is missing or malformed.
    pub fn from_lookup(lookup: impl Fn(&str) -> Result<String, VarError>) -> Result<Self, ConfigError> {
        let mut settings = Settings { lookup, problems: Vec::new() };

        let database_url = settings.read("DATABASE_URL", DatabaseUrl::from_str);
        if database_url.is_none() && settings.problems.is_empty() {
            settings.problems.push("DATABASE_URL is not set: postgres://USER@HOST/DATABASE".to_owned());
        }
        let address = settings.read("APP_ADDR", |value| {
            SocketAddr::from_str(value).map_err(|_| format!("must be IP:PORT, such as 127.0.0.1:8080, not {value:?}"))
        });
        let port = settings.read("PORT", |value| {
            u16::from_str(value).map_err(|_| format!("must be a number from 0 to 65535, not {value:?}"))
        });
        let migrate = settings.read("APP_MIGRATE", |value| {
            StartupPolicy::from_str(value).map_err(|_| format!("must be apply, check or off, not {value:?}"))
        });
        let secure_cookies = settings.read("APP_SECURE_COOKIES", |value| {
            bool::from_str(value).map_err(|_| format!("must be true or false, not {value:?}"))
        });

        match database_url {
            Some(database_url) if settings.problems.is_empty() => Ok(Self {
                database_url,
                address: address.unwrap_or_else(|| match port {
                    // A platform that assigns a port reaches it from outside.
                    Some(port) => (Ipv4Addr::UNSPECIFIED, port).into(),
                    None => (Ipv4Addr::LOCALHOST, 8080).into(),
                }),
                migrate: migrate.unwrap_or(StartupPolicy::Apply),
                secure_cookies: secure_cookies.unwrap_or(true),
            }),
            _ => Err(ConfigError { problems: settings.problems }),
        }
    }
}

impl DatabaseUrl {
    /// The URL itself, password included: for connecting, never for printing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if !value.starts_with("postgres://") && !value.starts_with("postgresql://") {
            return Err("must start with postgres:// or postgresql://".to_owned());
        }
        // The parser's own message may quote the URL, so it stays unsaid.
        PgConnectOptions::from_str(value)
            .map_err(|_| "is not a well-formed URL (are special characters escaped?)".to_owned())?;
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(hidden)")
    }
}

struct Settings<L> {
    lookup: L,
    problems: Vec<String>,
}

impl<L: Fn(&str) -> Result<String, VarError>> Settings<L> {
    /// An empty variable counts as unset: many shells and platforms cannot unset one.
    fn read<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = match (self.lookup)(name) {
            Ok(value) if value.is_empty() => return None,
            Ok(value) => parse(&value),
            Err(VarError::NotPresent) => return None,
            Err(VarError::NotUnicode(_)) => Err("is not valid UTF-8".to_owned()),
        };
        parsed.map_err(|problem| self.problems.push(format!("{name} {problem}"))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| {
            settings
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
                .ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn defaults_suit_a_desk() {
        let config = config(&[("DATABASE_URL", "postgres://localhost/app"), ("PORT", "")]).expect("a URL is enough");
        assert_eq!(config.address.to_string(), "127.0.0.1:8080");
        assert!(config.secure_cookies);
    }

    #[test]
    fn a_port_alone_listens_everywhere_and_an_address_wins_over_it() {
        let url = ("DATABASE_URL", "postgres://localhost/app");
        let by_port = config(&[url, ("PORT", "9000")]).expect("well-formed");
        assert_eq!(by_port.address.to_string(), "0.0.0.0:9000");
        let by_address = config(&[url, ("PORT", "9000"), ("APP_ADDR", "[::1]:1")]).expect("well-formed");
        assert_eq!(by_address.address.to_string(), "[::1]:1");
    }

    #[test]
    fn all_problems_are_told_at_once_without_the_password() {
        let error = config(&[
            ("DATABASE_URL", "mysql://me:hunter2@localhost/app"),
            ("APP_ADDR", "localhost"),
            ("PORT", "http"),
            ("APP_MIGRATE", "sometimes"),
            ("APP_SECURE_COOKIES", "yes"),
        ])
        .expect_err("nothing here is right");
        let names: Vec<_> = error.problems.iter().filter_map(|problem| problem.split(' ').next()).collect();
        assert_eq!(names, ["DATABASE_URL", "APP_ADDR", "PORT", "APP_MIGRATE", "APP_SECURE_COOKIES"]);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_missing_database_is_told_beside_the_rest() {
        let error = config(&[("PORT", "http")]).expect_err("no database");
        assert_eq!(error.problems.len(), 2, "{error}");
    }

    #[test]
    fn debug_output_hides_the_url() {
        let config = config(&[("DATABASE_URL", "postgres://me:hunter2@localhost/app")]).expect("well-formed");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
