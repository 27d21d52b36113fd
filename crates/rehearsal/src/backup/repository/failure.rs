//! Why backups cannot be stored, found, read or removed.

use std::path::PathBuf;

use crate::error::Kind;

/// See the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// What the environment says of the object store cannot be used.
    #[error("{place} cannot be used: {reason}")]
    Unusable {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
    /// The service does not answer, or not with sense.
    #[error("cannot {doing}: {reason}")]
    Unreachable {
        /// What was tried, as a verb with its object.
        doing: String,
        /// The service's words.
        reason: String,
    },
    /// The folder cannot be used.
    #[error("cannot {doing}: {reason}")]
    Local {
        /// What was tried.
        doing: String,
        /// The system's words.
        reason: String,
    },
    /// The service knows us, or not, and says no.
    #[error("cannot {doing}: {reason}")]
    Denied {
        /// What was tried.
        doing: String,
        /// The service's words.
        reason: String,
    },
    /// There is none of that name.
    #[error("there is no backup {id} in {place}")]
    NoSuchBackup {
        /// What was asked for.
        id: String,
        /// Where it was looked for.
        place: String,
    },
    /// What is there is not what was written.
    #[error("the backup {place} is damaged: {}", damage.join("; "))]
    Damaged {
        /// The backup.
        place: String,
        /// One phrase each.
        damage: Vec<String>,
    },
    /// Its manifest is there, and of something else.
    #[error("{place} is there already, and is another backup")]
    Taken {
        /// The backup.
        place: String,
    },
    /// The backup is made, and on this machine instead of where it belongs.
    #[error("the backup waits in {}: {source}", staged.display())]
    NotSent {
        /// Where it is.
        staged: PathBuf,
        /// Why it is not there.
        source: Box<Self>,
    },
    /// It is encrypted, and there is no key.
    #[error("the backup {place} is encrypted, and there is no identity to read it with")]
    NoIdentity {
        /// The backup.
        place: String,
    },
    /// It is encrypted for somebody else.
    #[error("the backup {place} is encrypted for another key than those in {}", file.display())]
    WrongIdentity {
        /// The backup.
        place: String,
        /// Where the keys are.
        file: PathBuf,
    },
    /// The keys cannot be read.
    #[error("the age identities of {} cannot be used: {reason}", file.display())]
    BadIdentities {
        /// The file.
        file: PathBuf,
        /// Why. Never what is in it.
        reason: String,
    },
    /// A file of this machine.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl RepositoryError {
    /// An [`RepositoryError::Io`] from its parts, for `map_err`.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unusable { .. }
            | Self::Denied { .. }
            | Self::NoSuchBackup { .. }
            | Self::NoIdentity { .. }
            | Self::WrongIdentity { .. }
            | Self::BadIdentities { .. } => Kind::Usage,
            Self::Unreachable { .. } => Kind::Busy,
            Self::Damaged { .. } => Kind::Refused,
            Self::NotSent { source, .. } => source.kind(),
            Self::Taken { .. } | Self::Local { .. } | Self::Io { .. } => Kind::Failed,
            Self::Interrupted => Kind::Interrupted,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unusable { .. } => {
                "set what the service's own tools read: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL (AWS_ALLOW_HTTP=true without TLS), GOOGLE_* or AZURE_*".into()
            }
            Self::Unreachable { .. } => "try again; nothing is lost, and what is there already is not sent again".into(),
            Self::Denied { .. } => "look at the credentials of the environment, and at what they may do with that bucket".into(),
            Self::NoSuchBackup { .. } => "`cargo xtask db-backup list` shows what there is".into(),
            Self::Damaged { .. } => {
                "use another backup, and make a new one with `cargo xtask db-backup`; nothing was restored from this one".into()
            }
            Self::Taken { .. } => "make another backup; nothing was overwritten".into(),
            Self::NotSent { .. } => "`cargo xtask db-backup upload` sends it, and so does the next `db-backup`".into(),
            Self::NoIdentity { .. } => "set REHEARSAL_AGE_IDENTITY_FILE to the file with the key (age-keygen writes such files)".into(),
            Self::WrongIdentity { .. } => {
                "set REHEARSAL_AGE_IDENTITY_FILE to the key of one of the recipients; nothing was restored".into()
            }
            Self::BadIdentities { .. } => {
                "REHEARSAL_AGE_IDENTITY_FILE names a file with a line AGE-SECRET-KEY-1…, as age-keygen writes it".into()
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "free some disk space and run the same command again".into()
            }
            Self::Local { .. } | Self::Io { .. } => "check that the path exists and may be used by you".into(),
            Self::Interrupted => "run the same command again".into(),
        }
    }
}
