//! A statement of a migration that failed, told at its place in the user's file.

use std::path::PathBuf;

use super::spot::{self, Sent};
use crate::error::{Error, Kind};
use crate::plan::{Direction, PlannedFile};
use crate::postgres::query::{Stopped, is_connection_lost, server_words, sqlstate};
use crate::statement::{Statement, summary};

/// How much of a statement an error message shows.
const SHOWN_CHARACTERS: usize = 100;

/// A statement failed.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}:{column}: {reason} — in `{statement}`", path.display())]
pub struct StatementError {
    /// The user's file.
    pub path: PathBuf,
    /// Line in it, from 1: where the server points to, else where the statement begins.
    pub line: usize,
    /// Column in it, from 1.
    pub column: usize,
    /// The server's words, with the SQLSTATE.
    pub reason: String,
    /// What the server adds.
    pub detail: Option<String>,
    /// The server's own hint.
    pub server_hint: Option<String>,
    /// The five characters.
    pub sqlstate: Option<String>,
    /// The statement's first words.
    pub statement: String,
    /// The line of the file with a mark under the place, and the server's context; where there is any.
    pub excerpt: Option<String>,
    /// The connection is gone.
    pub connection_lost: bool,
    /// Some of the file has been done and stays done.
    pub half_way: bool,
    /// The version that it is on the way to; nothing on the way back.
    pub towards: Option<i64>,
}

impl StatementError {
    /// Puts a failure at its place. `half_way` says that earlier statements of the file stay done.
    fn at(file: &PlannedFile, statement: &Statement, sent: Sent<'_>, error: &sqlx::Error, half_way: bool) -> Self {
        let database =
            error.as_database_error().and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
        let pointed = database.and_then(|error| spot::offset(statement, sent, error));
        let offset = pointed.unwrap_or(statement.offset);
        let (line, column) = file.script.position(offset);
        // A file that is sent whole is shown from where the server points to, if that is not its end.
        let shown = file.script.text.get(offset..);
        let shown = shown.filter(|rest| file.script.unparsed.is_some() && !rest.trim().is_empty());
        Self {
            path: file.script.path.clone(),
            line,
            column,
            reason: server_words(error),
            detail: database.and_then(|error| error.detail()).map(str::to_owned),
            server_hint: database.and_then(|error| error.hint()).map(str::to_owned),
            sqlstate: sqlstate(error),
            statement: summary(shown.unwrap_or(&statement.sql), SHOWN_CHARACTERS),
            excerpt: spot::excerpt(&file.script, pointed, database.and_then(|error| error.r#where())),
            connection_lost: is_connection_lost(error),
            half_way,
            towards: towards(file),
        }
    }

    /// The outcome is not what it must be, although the server did not complain.
    #[must_use]
    pub fn unexpected(file: &PlannedFile, statement: &Statement, reason: String, half_way: bool) -> Self {
        let (line, column) = file.script.position(statement.offset);
        Self {
            path: file.script.path.clone(),
            line,
            column,
            reason,
            detail: None,
            server_hint: None,
            sqlstate: None,
            statement: summary(&statement.sql, SHOWN_CHARACTERS),
            excerpt: None,
            connection_lost: false,
            half_way,
            towards: towards(file),
        }
    }

    /// It was begun by a run that was killed, and nobody can tell from outside whether it was done.
    #[must_use]
    pub fn unsure(file: &PlannedFile, statement: &Statement) -> Self {
        let reason = "a run was stopped while this ran, and whether it was done cannot be told from outside".to_owned();
        let hint = "look whether it took effect, then run the same command with --unsure done or --unsure not-done";
        Self { server_hint: Some(hint.to_owned()), ..Self::unexpected(file, statement, reason, true) }
    }

    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.half_way {
            Kind::Resumable
        } else if self.connection_lost {
            Kind::Busy
        } else {
            Kind::Failed
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        let state = if self.half_way {
            "what was done before it stays done; run the same command again and it goes on from here"
        } else if self.connection_lost {
            // The answer to a COMMIT may be what was lost.
            "the file was applied as a whole or not at all, and the next run sees which"
        } else {
            "the transaction was rolled back, nothing of this file was applied"
        };
        let advice = match self.sqlstate.as_deref() {
            _ if self.connection_lost => {
                Some("the connection was lost: look at the server's log, then run the same command again".to_owned())
            }
            Some("42501") => Some("connect as the role that owns the object".to_owned()),
            Some("42P01") => {
                Some("the relation is not there: compare the database with `cargo xtask status`".to_owned())
            }
            Some("42701" | "42P07" | "42710") => {
                let marked = self.towards.map_or_else(String::new, |version| {
                    format!("if it is what this file makes, `cargo xtask mark-applied {version}` proves that and records it; ")
                });
                Some(format!(
                    "it is there already: find out who made it before anything else; {marked}if nothing in it is needed, drop it and run the same command again"
                ))
            }
            Some("23505") => Some(format!(
                "there are duplicates{}",
                self.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"))
            )),
            // What VALIDATE finds comes without a row: the scan stops at the first one.
            // The detail is the key that leads nowhere.
            Some("23503") if self.detail.is_some() => self.detail.clone(),
            // The detail is a whole row, which nobody wants to find in a log.
            Some("23502" | "23503" | "23514") => Some(
                "some rows do not follow it: find them by the constraint's condition and put them right".to_owned(),
            ),
            Some("2BP01") => Some(format!(
                "see to what depends on it first, in this file{}; CASCADE would drop all of it",
                self.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"))
            )),
            Some("57014") => Some(
                "it took longer than its time limit (`limits` in rehearsal.toml); batch it, or raise the limit (`-- rehearsal: statement_timeout=1h` in the file's head is for this file alone; outside of a transaction it is concurrently_timeout)"
                    .to_owned(),
            ),
            Some("42601") if self.reason.contains("at or near \":\"") => {
                Some("if that is a variable of psql, write its value: there are none here".to_owned())
            }
            _ => self.server_hint.clone().or_else(|| self.detail.clone()),
        };
        let advice =
            advice.or_else(|| (!self.half_way).then(|| "mend the file, then run the same command again".into()));
        advice.map_or_else(|| state.to_owned(), |advice| format!("{advice}; {state}"))
    }
}

fn towards(file: &PlannedFile) -> Option<i64> {
    (file.direction == Direction::Up).then_some(file.version)
}

/// A stopped statement as an error of this library.
pub(super) fn stopped_at<'a>(
    file: &'a PlannedFile,
    statement: &'a Statement,
    half_way: bool,
) -> impl FnOnce(Stopped) -> Error + 'a {
    stopped_in(Sent::AsWritten, file, statement, half_way)
}

/// The same, when something else was sent than what the file says.
pub(super) fn stopped_in<'a>(
    sent: Sent<'a>,
    file: &'a PlannedFile,
    statement: &'a Statement,
    half_way: bool,
) -> impl FnOnce(Stopped) -> Error + 'a {
    move |stopped| match stopped {
        Stopped::Failed(error) => Box::new(StatementError::at(file, statement, sent, &error, half_way)).into(),
        Stopped::Unexpected(reason) => Box::new(StatementError::unexpected(file, statement, reason, half_way)).into(),
        Stopped::Interrupted => Error::Interrupted,
    }
}
