//! How a query of our own fails.

use crate::error::{Error, Kind};

/// A query of ours that failed, and what it was for.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {}", server_words(source))]
pub struct QueryError {
    /// What was tried, as a verb: "read the migration history".
    pub doing: String,
    /// What the driver says.
    #[source]
    pub source: sqlx::Error,
}

impl QueryError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match sqlstate(&self.source).as_deref() {
            _ if is_connection_lost(&self.source) => Kind::Busy,
            Some("55P03") => Kind::Busy,
            // The server is a gate as well: what it does not let us do was not begun.
            Some("42501" | "25006") => Kind::Refused,
            _ if self.is_pooled() => Kind::Refused,
            _ => Kind::Failed,
        }
    }

    /// A prepared statement of ours is unknown, or was there already: another session answered. That
    /// is what a transaction pooler does.
    fn is_pooled(&self) -> bool {
        matches!(sqlstate(&self.source).as_deref(), Some("42P05" | "26000"))
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match sqlstate(&self.source).as_deref() {
            _ if is_connection_lost(&self.source) => {
                "the connection was lost: look at the server's log, then run the same command again".into()
            }
            _ if self.is_pooled() => {
                "a connection pooler in transaction mode stands in between: give the direct URL of the server".into()
            }
            Some("42501") => "connect as a role that owns the objects, or have the right granted".into(),
            Some("25006") => {
                "it can only be read (a standby, or default_transaction_read_only): connect to the primary server"
                    .into()
            }
            Some("57014") => "it took longer than its time limit; try at a quieter time".into(),
            Some("55P03") => "somebody holds a lock on it; try again in a moment".into(),
            Some("53100") => "free disk space on the server and run the same command again".into(),
            _ => "look at the server's log for what it says beside this".into(),
        }
    }
}

/// A failure of a statement, or the user's wish to stop.
#[derive(Debug)]
pub enum Stopped {
    /// The server or the connection failed.
    Failed(sqlx::Error),
    /// The server did what it was told, and the outcome is not what it must be.
    Unexpected(String),
    /// The user interrupted; the statement was cancelled.
    Interrupted,
}

impl Stopped {
    /// As an error of ours that says what was tried.
    pub fn doing(doing: impl Into<String>) -> impl FnOnce(Self) -> Error {
        let doing = doing.into();
        move |stopped| match stopped {
            Self::Failed(source) => QueryError { doing, source }.into(),
            Self::Unexpected(what) => QueryError { doing, source: sqlx::Error::InvalidArgument(what) }.into(),
            Self::Interrupted => Error::Interrupted,
        }
    }
}

/// The five characters that name the condition.
#[must_use]
pub fn sqlstate(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// The server's own message where there is one; sqlx's words add the C source line to it.
#[must_use]
pub fn server_words(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => {
            let code = database.code().map_or_else(String::new, |code| format!(" ({code})"));
            format!("{}{code}", database.message())
        }
        None => error.to_string(),
    }
}

/// The server went away, or ended our session.
#[must_use]
pub fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // Class 57P: admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout.
        _ => sqlstate(error).is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
    }
}
