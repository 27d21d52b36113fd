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
        /// Its pg_hba.conf has no line for such a connection, whatever the password.
        no_entry: bool,
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
    /// A target's two URLs lead to two databases.
    #[error("the two URLs of target `{target}` lead to different databases: {usual}, and directly {direct}")]
    TwoDatabases {
        /// The target.
        target: String,
        /// What answers at the usual one.
        usual: String,
        /// What answers at the direct one.
        direct: String,
    },
    /// What answers does not take a setting that PostgreSQL takes: a connection pooler.
    #[error("what answers at {address} does not take the settings of a session: {reason}")]
    StartParameter {
        /// The target, without its password.
        address: String,
        /// Its words.
        reason: String,
    },
    /// What answers is not what the URL asks for.
    #[error("{address} is {found}, and its URL asks for target_session_attrs={wanted}")]
    AnotherRole {
        /// The target, without its password.
        address: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// One of the certificates is not taken, or there is no TLS.
    #[error("no TLS connection to {address}: {reason}")]
    Tls {
        /// The target, without its password.
        address: String,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        hint: &'static str,
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
        if let Some((reason, hint)) = tls_trouble(error) {
            return Self::Tls { address, reason, hint };
        }
        match (error, sqlstate(error).as_deref()) {
            (_, Some(code @ ("28P01" | "28000"))) => Self::NotAllowed { address, reason, no_entry: code == "28000" },
            (_, Some("3D000")) => Self::NoDatabase { address, reason },
            (_, Some(code)) if code.starts_with("53") || code.starts_with("57P") => Self::NotNow { address, reason },
            // PostgreSQL itself calls an unknown parameter 42704; this is how poolers put it.
            (_, Some("08P01")) if reason.contains("startup parameter") => Self::StartParameter { address, reason },
            (_, Some("42501")) => Self::NotAllowed { address, reason, no_entry: false },
            (sqlx::Error::Io(_) | sqlx::Error::Protocol(_), _) => Self::Unreachable { address, reason },
            _ => Self::Settings { address, reason },
        }
    }

    /// Of several places, none will do.
    pub(super) fn nowhere(address: String, mut failed: Vec<Self>) -> Self {
        if failed.len() == 1
            && let Some(only) = failed.pop()
        {
            return only;
        }
        let reasons: Vec<String> = failed.iter().map(Self::to_string).collect();
        Self::Unreachable { address, reason: reasons.join("; ") }
    }

    /// Another place of the same target may do better.
    pub(super) fn is_about_the_place(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotNow { .. } | Self::AnotherRole { .. })
    }

    /// Another mode of TLS may do better: servers let some in only with it, and some only without.
    pub(super) fn is_about_tls(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::NotAllowed { no_entry: true, .. })
    }

    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } | Self::NotNow { .. } => Kind::Busy,
            Self::Elsewhere { .. }
            | Self::TwoDatabases { .. }
            | Self::StartParameter { .. }
            | Self::AnotherRole { .. } => Kind::Refused,
            Self::NotAllowed { .. } | Self::NoDatabase { .. } | Self::Tls { .. } | Self::Settings { .. } => Kind::Usage,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => {
                "check host and port, and that the server is up; then run the same command again".into()
            }
            Self::NotAllowed { no_entry: true, .. } => {
                "check user, database and sslmode (the server may want TLS, a client certificate in sslcert and sslkey, or neither) against the server's pg_hba.conf"
                    .into()
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
            Self::TwoDatabases { target, .. } => format!(
                "correct one of the variables that url_env and direct_url_env under [targets.{target}] in rehearsal.toml name"
            ),
            Self::NotNow { .. } => "wait a moment and run the same command again".into(),
            Self::StartParameter { .. } => DIRECT_URL.into(),
            Self::AnotherRole { .. } => {
                "give the address of the right server, or all of them (host=a,b), of which the first that fits is taken"
                    .into()
            }
            Self::Tls { hint, .. } => (*hint).into(),
            Self::Settings { .. } => "check sslmode and the certificates in the URL".into(),
        }
    }
}

/// What is wrong with TLS, and what to do about it.
fn tls_trouble(error: &sqlx::Error) -> Option<(String, &'static str)> {
    use rustls::{CertificateError as Certificate, Error as Tls};
    let tls = match error {
        // Where sqlx meets it in the middle of the handshake.
        sqlx::Error::Io(error) => error.get_ref()?.downcast_ref::<Tls>()?,
        sqlx::Error::Tls(error) => match error.downcast_ref::<Tls>() {
            Some(tls) => tls,
            None if error.to_string().contains("does not support TLS") => {
                let hint = "switch TLS on in the server (ssl = on), or write sslmode=prefer if the network is trusted";
                return Some(("the server does not support it".into(), hint));
            }
            None => return Some((error.to_string(), CHECK_FILES)),
        },
        _ => return None,
    };
    Some(match tls {
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => (
            "the server's certificate is not signed by an authority that is trusted here".into(),
            "name the certificate of the authority that has signed it: sslrootcert=FILE",
        ),
        Tls::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => (
            "the server's certificate is for another name".into(),
            "connect by a name that stands in the certificate, or write sslmode=verify-ca if any server of that authority will do",
        ),
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            ("the server's certificate has expired".into(), "have it renewed, and the server reload its configuration")
        }
        Tls::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            ("the server's certificate is not valid yet".into(), "compare the clocks of both machines")
        }
        Tls::AlertReceived(alert) => (
            format!("the server has ended it ({alert:?})"),
            "if it asks for a certificate of the client's, name one that it trusts: sslcert=FILE and sslkey=FILE",
        ),
        other => (other.to_string(), CHECK_FILES),
    })
}

const CHECK_FILES: &str = "check sslmode, sslrootcert, sslcert and sslkey in the URL";
