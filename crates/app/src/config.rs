//! Settings from the environment, checked before anything is started: whoever deploys hears of
//! all problems at once, not of one a restart.

use std::{
    env::{self, VarError},
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use axum::http::HeaderValue;
use migrations::REHEARSAL_TOML;
use rehearsal::startup::{StartupPolicy, StartupTerms};
use url::Url;

use crate::secrets::{AdminToken, DatabaseUrl, SessionSecret};

/// What the service needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// What depends on this process: `APP_ENV`, else [`Environment::Development`].
    pub environment: Environment,
    /// The database, from `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// Where to listen: `APP_ADDR`, else every interface at `PORT`, else `127.0.0.1:8080`.
    pub address: SocketAddr,
    /// What to do about pending migrations at start: `APP_MIGRATE`, else only what is over at once.
    /// In development, else all of it: a desk has no release that could do the rest. What is accepted of the
    /// history, and where the journal is, says the workspace's rehearsal.toml.
    pub migrate: StartupTerms,
    /// Whether the session cookie is kept to HTTPS (browsers count loopback as secure):
    /// `APP_SECURE_COOKIES`, else yes. Only development may say no.
    pub secure_cookies: bool,
    /// What session cookies are signed with: `APP_SESSION_SECRET`. Development makes one up.
    pub session_secret: SessionSecret,
    /// The pages of other origins that may use the service: `APP_CORS_ORIGINS`, with commas
    /// between. Only development may leave it out, and then has none.
    pub cors_origins: Vec<HeaderValue>,
    /// The domain that tenants are subdomains of: `APP_BASE_DOMAIN`. Only development may leave it
    /// out, and then has `localhost`.
    pub base_domain: String,
    /// What opens the routes of administrators: `APP_ADMIN_TOKEN`, else nothing does.
    pub admin_token: Option<AdminToken>,
}

/// What depends on a process. Outside development, nothing that protects users has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Somebody's desk.
    Development,
    /// Where releases are tried.
    Staging,
    /// Where users are.
    Production,
}

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

        let database_url = settings.require("DATABASE_URL", "postgres://USER@HOST/DATABASE", DatabaseUrl::from_str);
        let environment = settings.read("APP_ENV", Environment::from_str).unwrap_or(Environment::Development);
        let at_a_desk = environment == Environment::Development;
        let address = settings.read("APP_ADDR", |value| {
            SocketAddr::from_str(value).map_err(|_| format!("must be IP:PORT, such as 127.0.0.1:8080, not {value:?}"))
        });
        let port = settings.read("PORT", |value| {
            u16::from_str(value).map_err(|_| format!("must be a number from 0 to 65535, not {value:?}"))
        });
        let migrate = settings.read("APP_MIGRATE", |value| {
            StartupPolicy::from_str(value)
                .map_err(|_| format!("must be apply, instant-only, check or off, not {value:?}"))
        });
        let migrate = StartupTerms::from(migrate.unwrap_or(match environment {
            Environment::Development => StartupPolicy::Apply,
            Environment::Staging | Environment::Production => StartupPolicy::InstantOnly,
        }));
        let migrate =
            migrate.with_config(REHEARSAL_TOML).map_err(|error| settings.problems.push(error.to_string())).ok();
        let secure_cookies = settings.read("APP_SECURE_COOKIES", |value| match bool::from_str(value) {
            Ok(false) if !at_a_desk => Err("may be false in development only".to_owned()),
            Ok(secure) => Ok(secure),
            Err(_) => Err(format!("must be true or false, not {value:?}")),
        });
        let session_secret =
            settings.require_unless(at_a_desk, "APP_SESSION_SECRET", "openssl rand -hex 64", SessionSecret::from_str);
        let cors_origins = settings.require_unless(at_a_desk, "APP_CORS_ORIGINS", "https://app.example.com,…", origins);
        let base_domain = settings.require_unless(at_a_desk, "APP_BASE_DOMAIN", "example.com", domain);
        let admin_token = settings.read("APP_ADMIN_TOKEN", AdminToken::from_str);

        match database_url.zip(migrate) {
            Some((database_url, migrate)) if settings.problems.is_empty() => Ok(Self {
                environment,
                database_url,
                address: address.unwrap_or_else(|| match port {
                    // A platform that assigns a port reaches it from outside.
                    Some(port) => (Ipv4Addr::UNSPECIFIED, port).into(),
                    None => (Ipv4Addr::LOCALHOST, 8080).into(),
                }),
                migrate,
                secure_cookies: secure_cookies.unwrap_or(true),
                session_secret: session_secret.unwrap_or_else(SessionSecret::random),
                cors_origins: cors_origins.unwrap_or_default(),
                base_domain: base_domain.unwrap_or_else(|| "localhost".to_owned()),
                admin_token,
            }),
            _ => Err(ConfigError { problems: settings.problems }),
        }
    }

    /// Where the tenant of that name is found.
    pub(crate) fn subdomain(&self, name: &str) -> String {
        format!("{name}.{}", self.base_domain)
    }
}

impl FromStr for Environment {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "development" => Ok(Self::Development),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            _ => Err(format!("must be development, staging or production, not {value:?}")),
        }
    }
}

/// Browsers send an origin without a path and without a slash at its end, and compare bytes.
fn origins(list: &str) -> Result<Vec<HeaderValue>, String> {
    let origin = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| url.origin().ascii_serialization() == text);
        url.and_then(|_| HeaderValue::from_str(text).ok())
            .ok_or_else(|| format!("must be origins such as https://app.example.com, not {text:?}"))
    };
    list.split(',').map(|text| origin(text.trim())).collect()
}

/// Lower-case labels with dots between, as browsers show them.
fn domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if text.split('.').all(is_label) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be a domain such as example.com, not {text:?}"))
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

    fn require<T>(&mut self, name: &str, example: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let problems = self.problems.len();
        let value = self.read(name, parse);
        if value.is_none() && self.problems.len() == problems {
            self.problems.push(format!("{name} is not set: {example}"));
        }
        value
    }

    fn require_unless<T>(
        &mut self,
        optional: bool,
        name: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        if optional { self.read(name, parse) } else { self.require(name, example, parse) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: (&str, &str) = ("DATABASE_URL", "postgres://me:hunter2@localhost/app");

    fn config(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| {
            settings
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
                .ok_or(VarError::NotPresent)
        })
    }

    /// The variables that an error is about.
    fn names(error: &ConfigError) -> Vec<&str> {
        error.problems.iter().filter_map(|problem| problem.split(' ').next()).collect()
    }

    #[test]
    fn defaults_suit_a_desk() {
        let config = config(&[URL, ("PORT", "")]).expect("a URL is enough");
        assert_eq!((config.environment, config.migrate.policy), (Environment::Development, StartupPolicy::Apply));
        assert_eq!(config.address.to_string(), "127.0.0.1:8080");
        assert!(config.secure_cookies && config.cors_origins.is_empty() && config.admin_token.is_none());
    }

    #[test]
    fn a_port_alone_listens_everywhere_and_an_address_wins_over_it() {
        let by_port = config(&[URL, ("PORT", "9000")]).expect("well-formed");
        assert_eq!(by_port.address.to_string(), "0.0.0.0:9000");
        let by_address = config(&[URL, ("PORT", "9000"), ("APP_ADDR", "[::1]:1")]).expect("well-formed");
        assert_eq!(by_address.address.to_string(), "[::1]:1");
    }

    #[test]
    fn all_problems_are_told_at_once_without_a_secret() {
        let error = config(&[
            ("DATABASE_URL", "mysql://me:hunter2@localhost/app"),
            ("APP_ENV", "prod"),
            ("APP_ADDR", "localhost"),
            ("PORT", "http"),
            ("APP_MIGRATE", "sometimes"),
            ("APP_SECURE_COOKIES", "yes"),
            ("APP_SESSION_SECRET", "hunter2"),
            ("APP_CORS_ORIGINS", "https://app.example.com/"),
            ("APP_BASE_DOMAIN", "https://example.com"),
            ("APP_ADMIN_TOKEN", "hunter2"),
        ])
        .expect_err("nothing here is right");
        assert_eq!(
            names(&error),
            [
                "DATABASE_URL",
                "APP_ENV",
                "APP_ADDR",
                "PORT",
                "APP_MIGRATE",
                "APP_SECURE_COOKIES",
                "APP_SESSION_SECRET",
                "APP_CORS_ORIGINS",
                "APP_BASE_DOMAIN",
                "APP_ADMIN_TOKEN"
            ]
        );
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn outside_development_nothing_that_protects_users_has_a_default() {
        for environment in ["staging", "production"] {
            let error = config(&[("APP_ENV", environment), ("APP_SECURE_COOKIES", "false")]).expect_err("too little");
            assert_eq!(
                names(&error),
                ["DATABASE_URL", "APP_SECURE_COOKIES", "APP_SESSION_SECRET", "APP_CORS_ORIGINS", "APP_BASE_DOMAIN"]
            );
        }
        let config = config(&[
            URL,
            ("APP_ENV", "production"),
            ("APP_SESSION_SECRET", &"s".repeat(64)),
            ("APP_CORS_ORIGINS", "https://app.example.com, http://localhost:3000"),
            ("APP_BASE_DOMAIN", "example.com"),
        ])
        .expect("this is enough");
        assert_eq!(config.migrate.policy, StartupPolicy::InstantOnly);
        assert_eq!(config.cors_origins, ["https://app.example.com", "http://localhost:3000"]);
    }

    #[test]
    fn debug_output_hides_secrets() {
        let token = "hunter2".repeat(10);
        let config = config(&[URL, ("APP_SESSION_SECRET", &token), ("APP_ADMIN_TOKEN", &token)]).expect("well-formed");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
