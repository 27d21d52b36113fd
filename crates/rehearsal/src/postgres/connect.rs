//! Why a connection could not be had, in words that say what to do.

use std::time::Duration;

use super::query::{server_words, sqlstate};
use crate::error::Kind;
use crate::plan::DIRECT_URL;

/// How long a connection may take to open. libpq's documentation recommends no less than 2 s;
/// 10 s leaves room for a serverless database that has to wake up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// No connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers there.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// The target, without its password.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// The server does not let this user in.
    #[error("{address} does not let us in: {reason}")]
    NotAllowed {
        /// The target, without its password.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// The server has no such database.
    #[error("{address}: {reason}")]
    NoDatabase {
        /// The target, without its password.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// The server answers, but takes no connections now.
    #[error("{address} takes no connections now: {reason}")]
    NotNow {
        /// The target, without its password.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// The database that answers is not the one that the target is pinned to.
    #[error("{target} leads elsewhere: it is pinned to {pinned}, and what answers is {found}")]
    Elsewhere {
        /// The target, without its password.
        target: String,
        /// What it must be.
        pinned: String,
        /// What it is.
        found: String,
    },
    /// What answers does not take a setting that PostgreSQL takes: a connection pooler.
    #[error("what answers at {address} does not take the settings of a session: {reason}")]
    StartParameter {
        /// The target, without its password.
        address: String,
        /// Its words.
        reason: String,
    },
    /// TLS or another setting does not fit.
    #[error("cannot connect to {address} with these settings: {reason}")]
    Settings {
        /// The target, without its password.
        address: String,
        /// The driver's words.
        reason: String,
    },
}

impl ConnectError {
    /// Puts sqlx's error into a class by its SQLSTATE (appendix A of the PostgreSQL manual).
    #[must_use]
    pub fn from_sqlx(address: String, error: &sqlx::Error) -> Self {
        let reason = server_words(error);
        match (error, sqlstate(error).as_deref()) {
            (_, Some("28P01" | "28000")) => Self::NotAllowed { address, reason },
            (_, Some("3D000")) => Self::NoDatabase { address, reason },
            (_, Some(code)) if code.starts_with("53") || code.starts_with("57P") => Self::NotNow { address, reason },
            // PostgreSQL itself calls an unknown parameter 42704; this is how poolers put it.
            (_, Some("08P01")) if reason.contains("startup parameter") => Self::StartParameter { address, reason },
            (_, Some("42501")) => Self::NotAllowed { address, reason },
            (sqlx::Error::Io(_) | sqlx::Error::Protocol(_), _) => Self::Unreachable { address, reason },
            _ => Self::Settings { address, reason },
        }
    }

    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } | Self::NotNow { .. } => Kind::Busy,
            Self::Elsewhere { .. } | Self::StartParameter { .. } => Kind::Refused,
            Self::NotAllowed { .. } | Self::NoDatabase { .. } | Self::Settings { .. } => Kind::Usage,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => {
                "check host and port, and that the server is up; then run the same command again".into()
            }
            Self::NotAllowed { .. } => {
                "check user and password in the URL (percent-encode special characters) and the server's pg_hba.conf"
                    .into()
            }
            Self::NoDatabase { .. } => "check the database's name; a database is never created by itself".into(),
            Self::Elsewhere { .. } => {
                "correct the URL; if the database has moved on purpose, change the target's `identity` in rehearsal.toml"
                    .into()
            }
            Self::NotNow { .. } => "wait a moment and run the same command again".into(),
            Self::StartParameter { .. } => DIRECT_URL.into(),
            Self::Settings { .. } => "check sslmode and the certificates in the URL".into(),
        }
    }
}
