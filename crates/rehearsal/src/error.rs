//! What can go wrong, each with what to do about it and the exit code it ends in.

use std::path::PathBuf;

use crate::anonymise::AnonymiseError;
use crate::apply::{StatementError, WindowError};
use crate::backup::repository::RepositoryError;
use crate::backup::{BackupError, RestoreError};
use crate::check::CheckError;
use crate::config::ConfigError;
use crate::contract::ContractError;
use crate::event::FilePlace;
use crate::hooks::HookError;
use crate::plan::Refusal;
use crate::postgres::journal::JournalError;
use crate::postgres::{BusyError, ConnectError, QueryError, ToolError};
use crate::proof::ProofError;
use crate::providers::SandboxError;
use crate::questions::QuestionError;
use crate::smoke::SmokeError;
use crate::source::SourceError;
use crate::target::TargetError;
use crate::traffic::TrafficError;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How a run ended, as a process tells it to its caller.
///
/// The numbers are public: scripts and workflows branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was tried and did not work.
    Failed,
    /// The command line, the configuration or the environment is not usable.
    Usage,
    /// A gate or a check said no. Nothing was changed after that.
    Refused,
    /// The database is busy or cannot be reached. Trying again may help.
    Busy,
    /// Stopped half-way; the same command goes on from there.
    Resumable,
    /// Interrupted by the user, and cleaned up.
    Interrupted,
}

impl Kind {
    /// Exit code of a run that did what it was asked to, or found nothing to do.
    pub const EXIT_DONE: u8 = 0;

    /// The process exit code: 1 failed, 2 usage, 3 refused, 4 busy, 5 resumable,
    /// 130 interrupted (128 + SIGINT, the shells' convention).
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Busy => 4,
            Self::Resumable => 5,
            Self::Interrupted => 130,
        }
    }
}

/// Any failure of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `rehearsal.toml` cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A database URL cannot be used, or there is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The migrations folder cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A checks file cannot be used, or checks failed.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The code's queries cannot be read, or do not fit the schema.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The traffic files cannot be used, or clients were not served.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The planner refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is not proven that a version is applied.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Somebody else holds what is needed.
    #[error(transparent)]
    Busy(#[from] BusyError),
    /// The journal in the target is of a later version of this tool.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A query of our own failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A statement of a migration failed.
    #[error(transparent)]
    Statement(#[from] Box<StatementError>),
    /// The hours for batches cannot be told.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// No throwaway server.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A PostgreSQL program is missing, does not fit, or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A backup could not be made, proven or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A backup could not be stored, found, read or removed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A backup does not take a database's place.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// There is no anonymised copy.
    #[error(transparent)]
    Anonymise(#[from] AnonymiseError),
    /// Smoke tests could not be run, or did not pass.
    #[error(transparent)]
    Smoke(#[from] SmokeError),
    /// A hook could not be run, or failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Questions are not answered with yes.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The file system said no.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "write", "read", "create".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The user asked to stop.
    #[error("interrupted; what was running was cancelled and its locks were released")]
    Interrupted,
}

impl Error {
    /// An [`Error::Io`] from its parts, for `map_err`.
    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// Which exit code this ends in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Config(_) | Self::Target(_) | Self::Journal(_) | Self::Window(_) => Kind::Usage,
            Self::Source(error) => error.kind(),
            Self::Check(error) => error.kind(),
            Self::Contract(error) => error.kind(),
            Self::Traffic(error) => error.kind(),
            Self::Refused(refusal) => refusal.kind(),
            Self::Proof(error) => error.kind(),
            Self::Connect(error) => error.kind(),
            Self::Busy(_) => Kind::Busy,
            Self::Query(error) => error.kind(),
            Self::Statement(error) => error.kind(),
            Self::Sandbox(error) => error.kind(),
            Self::Tool(error) => error.kind(),
            Self::Backup(error) => error.kind(),
            Self::Repository(error) => error.kind(),
            Self::Restore(error) => error.kind(),
            Self::Anonymise(error) => error.kind(),
            Self::Smoke(error) => error.kind(),
            Self::Hook(error) => error.kind(),
            Self::Question(error) => error.kind(),
            Self::Io { .. } => Kind::Failed,
            Self::Interrupted => Kind::Interrupted,
        }
    }

    /// What is to be seen at the place in the user's file, in lines of its own.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::Statement(error) => error.excerpt.as_deref(),
            Self::Anonymise(error) => error.excerpt(),
            _ => None,
        }
    }

    /// The line of the user's file that it is about, where there is one.
    #[must_use]
    pub fn place(&self) -> Option<FilePlace> {
        let (path, line) = match self {
            Self::Statement(error) => (&error.path, error.line),
            Self::Source(SourceError::Unsupported { path, line, .. })
            | Self::Refused(Refusal::Source(SourceError::Unsupported { path, line, .. }))
            | Self::Check(CheckError::Malformed { path, line, .. })
            | Self::Traffic(TrafficError::Malformed { path, line, .. }) => (path, *line),
            // The file as a whole is meant.
            Self::Refused(Refusal::Edited { path, .. } | Refusal::DoneStatementChanged { path, .. }) => (path, 1),
            _ => return None,
        };
        Some(FilePlace { path: path.clone(), line })
    }

    /// What to do next, as one line.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => Some(error.hint()),
            Self::Target(error) => Some(error.hint()),
            Self::Source(error) => Some(error.hint()),
            Self::Check(error) => Some(error.hint()),
            Self::Contract(error) => Some(error.hint()),
            Self::Traffic(error) => Some(error.hint()),
            Self::Refused(refusal) => Some(refusal.hint()),
            Self::Proof(error) => Some(error.hint()),
            Self::Connect(error) => Some(error.hint()),
            Self::Busy(error) => Some(error.hint()),
            Self::Query(error) => Some(error.hint()),
            Self::Journal(error) => Some(error.hint()),
            Self::Statement(error) => Some(error.hint()),
            Self::Window(error) => Some(error.hint()),
            Self::Sandbox(error) => Some(error.hint()),
            Self::Tool(error) => Some(error.hint()),
            Self::Backup(error) => Some(error.hint()),
            Self::Repository(error) => Some(error.hint()),
            Self::Restore(error) => Some(error.hint()),
            Self::Anonymise(error) => Some(error.hint()),
            Self::Smoke(error) => Some(error.hint()),
            Self::Hook(error) => Some(error.hint()),
            Self::Question(error) => Some(error.hint()),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some disk space and run the same command again".into())
            }
            Self::Io { .. } => Some("check that the path exists and may be used by you".into()),
            Self::Interrupted => Some("run the same command again; it starts from what the database says".into()),
        }
    }
}
