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
    /// It could not be proven. That is not a pass, but the dump is kept.
    #[error("the backup could not be proven: {reason}")]
    NotProven {
        /// Why.
        reason: String,
        /// Where the dump is.
        kept: PathBuf,
    },
    /// Its files could not be read to their end.
    #[error("the dump could not be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// Tables lost their rows to the dump's snapshot before they were dumped.
    #[error("rewritten or emptied while the dump began, so that its snapshot does not see their rows: {}", tables.join(", "))]
    Rewritten {
        /// Which.
        tables: Vec<String>,
    },
    /// What is asked for is a proven backup, and this one is none.
    #[error("the backup {} is {state}", folder.display())]
    OnlyDumped {
        /// The folder.
        folder: PathBuf,
        /// What is known of it, with the reasons.
        state: String,
    },
    /// It was restored and compared when it was made, and is not what it was made from.
    #[error("the backup {} is {state}", folder.display())]
    FoundWrong {
        /// The folder.
        folder: PathBuf,
        /// What differs.
        state: String,
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
            Self::NoRoom { .. } | Self::NotProven { .. } | Self::Unreadable { .. } | Self::Miscounted { .. } => {
                Kind::Failed
            }
            Self::Rewritten { .. } => Kind::Busy,
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
            Self::Wrong { .. } => "mend what is named and make another one; what was dumped is not a backup".into(),
            Self::NotProven { kept, .. } => format!(
                "the dump is kept as not proven ({}); mend what stood in the way and make another one",
                kept.display()
            ),
            Self::Rewritten { .. } => {
                "nothing was kept; run it again when whoever changes the schema is done (TRUNCATE, ALTER TABLE)".into()
            }
            Self::Unreadable { .. } => "nothing was kept; make another one".into(),
            Self::OnlyDumped { folder, .. } => format!(
                "make another one with `cargo xtask db-backup`, or name this one ({}) where you want it all the same",
                folder.display()
            ),
            Self::FoundWrong { .. } => {
                "it is never restored: use another one; what it holds is read by `pg_restore --file=- FOLDER/dump`".into()
            }
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
