//! Why there is no backup, or why one cannot be used.

use std::path::PathBuf;

use crate::error::Kind;

/// See the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is not enough room for it.
    #[error("{} has {free} MB free, and the backup may need {needed} MB", folder.display())]
    NoRoom {
        /// Where it was to go.
        folder: PathBuf,
        /// Free, in MB.
        free: u64,
        /// Needed, in MB.
        needed: u64,
    },
    /// There is no backup there.
    #[error("{} is not a complete backup: it has no manifest", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// The manifest cannot be read.
    #[error("the manifest of {} cannot be read: {reason}", folder.display())]
    BadManifest {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Its files are not what was written.
    #[error("the backup {} is damaged: {}", folder.display(), damage.join("; "))]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// One phrase each.
        damage: Vec<String>,
    },
    /// Restored, it is not what it was made from.
    #[error("the backup does not hold what it was made from: {}", differences.join("; "))]
    Wrong {
        /// One phrase each.
        differences: Vec<String>,
    },
    /// It could not be proven. That is not a pass.
    #[error("the backup could not be proven: {reason}")]
    NotProven {
        /// Why.
        reason: String,
    },
    /// Something is in the way of a restore.
    #[error("the database `{database}` exists already")]
    Occupied {
        /// Its name.
        database: String,
    },
    /// The server lacks what the backup needs.
    #[error("the server has not {}", missing.join(", "))]
    Missing {
        /// Roles and extensions.
        missing: Vec<String>,
    },
    /// The server is older than what the backup was made from.
    #[error(
        "the backup is of PostgreSQL {backup}, and the server is {server}: a dump does not go back to an older major"
    )]
    Older {
        /// The backup's major.
        backup: u32,
        /// The server's major.
        server: u32,
    },
    /// No table of that name can be exported.
    #[error("no table is called `{pattern}`")]
    NoSuchTable {
        /// What was asked for.
        pattern: String,
    },
    /// A file does not hold as many rows as its table.
    #[error("{written} rows of {table} were written, and the server counts {counted}")]
    Miscounted {
        /// The table.
        table: String,
        /// Rows of the file.
        written: u64,
        /// Rows of the table, in the same snapshot.
        counted: i64,
    },
    /// There is none.
    #[error("there is no backup of `{target}` in {}", folder.display())]
    Nothing {
        /// The target.
        target: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
}

impl BackupError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoRoom { .. } | Self::NotProven { .. } | Self::Wrong { .. } | Self::Miscounted { .. } => Kind::Failed,
            Self::Nothing { .. } | Self::Occupied { .. } | Self::NoSuchTable { .. } => Kind::Usage,
            _ => Kind::Refused,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoRoom { .. } => "free some disk space, or put backups elsewhere (`backup.to` in rehearsal.toml)".into(),
            Self::NoManifest { .. } | Self::BadManifest { .. } | Self::Damaged { .. } => {
                "use another backup, and make a new one with `cargo xtask db-backup`; nothing was restored from this one".into()
            }
            Self::Wrong { .. } => "make another one; if it happens again, somebody changes tables in a way that a dump cannot see".into(),
            Self::NotProven { .. } => "mend what stood in the way and make another one; until then there is no backup".into(),
            Self::Occupied { database } => {
                format!("choose another name with --into, or drop `{database}` yourself; nothing is ever overwritten")
            }
            Self::Missing { .. } => "create them on the server, then restore again".into(),
            Self::Older { .. } => "restore into a server of the same or a newer major version".into(),
            Self::NoSuchTable { .. } => {
                "name tables as the catalog writes them, with their schema or without; `*` stands for anything, views have no rows, and partitions are tables of their own".into()
            }
            Self::Miscounted { .. } => "nothing was kept; export again, and keep this record if it happens twice".into(),
            Self::Nothing { .. } => "make one with `cargo xtask db-backup`, or name its folder".into(),
        }
    }
}
