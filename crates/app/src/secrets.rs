//! Settings that never print themselves, and are only accepted when they are worth something.

use std::{fmt, str::FromStr};

use sqlx::postgres::PgConnectOptions;
use subtle::ConstantTimeEq;
use tower_sessions::cookie::Key;

/// What signing cookies takes; the bound is the cookie crate's.
const SESSION_SECRET_BYTES: usize = 64;

/// Too many to guess, and what `openssl rand -hex 16` prints.
const ADMIN_TOKEN_BYTES: usize = 32;

/// A database URL, which may hold a password.
#[derive(Clone)]
pub struct DatabaseUrl(String);

/// What session cookies are signed with.
#[derive(Clone)]
pub struct SessionSecret(Key);

/// What an administrator shows instead of a password.
#[derive(Clone)]
pub struct AdminToken(String);

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

impl SessionSecret {
    /// One that nobody else knows. Cookies that it signed mean nothing to another process.
    #[must_use]
    pub fn random() -> Self {
        Self(Key::generate())
    }

    pub(crate) fn key(&self) -> Key {
        self.0.clone()
    }
}

impl FromStr for SessionSecret {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Key::try_from(value.as_bytes()).map(Self).map_err(|_| {
            format!("must be at least {SESSION_SECRET_BYTES} bytes, as `openssl rand -hex 64` prints them")
        })
    }
}

impl AdminToken {
    /// Whether this is the token. Takes as long for a near miss as for a wild guess.
    pub(crate) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl FromStr for AdminToken {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if value.len() < ADMIN_TOKEN_BYTES {
            return Err(format!("must be at least {ADMIN_TOKEN_BYTES} bytes, as `openssl rand -hex 16` prints them"));
        }
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(hidden)")
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(hidden)")
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(hidden)")
    }
}
