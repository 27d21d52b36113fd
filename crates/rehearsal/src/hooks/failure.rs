//! How hooks fail.

use std::time::Duration;

use super::hook::{Hook, When};
use crate::error::Kind;

/// A hook could not be run, or did not do what it is for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// It cannot be started.
    #[error("hook `{name}` cannot be started: {program}: {source}")]
    NotStarted {
        /// Its name.
        name: String,
        /// Its program.
        program: String,
        /// The system's words.
        source: std::io::Error,
        /// When it was to run.
        when: When,
    },
    /// It ended otherwise than with success.
    #[error("hook `{name}` failed ({ending}){last}")]
    Failed {
        /// Its name.
        name: String,
        /// Its exit code, or the signal that ended it.
        ending: String,
        /// Its last words, behind a colon.
        last: String,
        /// What to run by hand.
        words: String,
        /// When it ran.
        when: When,
    },
    /// It did not end.
    #[error("hook `{name}` took longer than {} and was stopped{last}", humantime::format_duration(*limit))]
    TooLong {
        /// Its name.
        name: String,
        /// Its time limit.
        limit: Duration,
        /// Its last words, behind a colon.
        last: String,
        /// When it ran.
        when: When,
    },
    /// A variable that it is to get is not set.
    #[error("hook `{name}` needs the environment variable {variable}, which is not set")]
    NoSecret {
        /// Its name.
        name: String,
        /// The variable.
        variable: String,
    },
}

impl HookError {
    pub(super) fn not_started(hook: &Hook) -> impl Fn(std::io::Error) -> Self {
        let (name, when) = (hook.name.clone(), hook.when);
        let program = hook.run.first().cloned().unwrap_or_default();
        move |source| Self::NotStarted { name: name.clone(), program: program.clone(), source, when }
    }

    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSecret { .. } => Kind::Usage,
            _ => Kind::Failed,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotStarted { when, .. } => {
                format!("mend `run` of it in rehearsal.toml, or install the program; {}", left(*when))
            }
            Self::Failed { when: When::Before, .. } => {
                format!("{}; mend what it complains about and run the same command again", left(When::Before))
            }
            Self::Failed { when, words, .. } => format!("{}; do by hand what is left of `{words}`", left(*when)),
            Self::TooLong { when, .. } => {
                format!("find out what it waits for, or give it a longer `limit`; {}", left(*when))
            }
            Self::NoSecret { variable, .. } => format!("set {variable}, in the environment or in .env"),
        }
    }
}

/// What its failure means for the database.
fn left(when: When) -> &'static str {
    match when {
        When::Before => "nothing was written to the database",
        When::After | When::Always => "the database is as the steps before it left it",
    }
}
