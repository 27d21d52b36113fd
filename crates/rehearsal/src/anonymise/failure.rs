//! Why there is no anonymised copy, or why one is not taken.

use std::path::PathBuf;

use crate::error::Kind;

/// See the module. None of them holds a value of the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnonymiseError {
    /// There is no key.
    #[error("there is no key to make pseudonyms with")]
    NoKey,
    /// The key is too short.
    #[error("the key has fewer than {shortest} characters, and could be guessed")]
    ShortKey {
        /// How many it must have.
        shortest: usize,
    },
    /// No key can be made up.
    #[error("the system gives no random bytes for a key")]
    NoRandom,
    /// Columns have no rule.
    #[error("columns without a rule: {columns}. Nothing is copied before each has one")]
    NoRule {
        /// How many.
        columns: usize,
        /// What can be put into `rehearsal.toml`.
        paste: String,
    },
    /// Rules do not fit their columns.
    #[error("the rules cannot be used: {}", complaints.join("; "))]
    Rules {
        /// One phrase each.
        complaints: Vec<String>,
    },
    /// Nothing was said of large objects.
    #[error("there are large objects ({count}), and nothing says what becomes of them")]
    LargeObjects {
        /// How many.
        count: i64,
    },
    /// A batched statement is half done in it.
    #[error("migration {version} stopped between two batches, and where it stands is told by the key of a row")]
    HalfDone {
        /// The migration.
        version: i64,
    },
    /// It is a copy already.
    #[error("{} is an anonymised copy already", folder.display())]
    Already {
        /// The folder.
        folder: PathBuf,
    },
    /// What a rule made is not what the table takes.
    #[error("the rules of {table} break {what}")]
    Broken {
        /// The table.
        table: String,
        /// The constraint, and what it is.
        what: String,
    },
    /// The server refused; its own words could hold a value.
    #[error("the rules of {table} cannot be applied: the server says {code}")]
    Failed {
        /// The table.
        table: String,
        /// The five characters that name the condition.
        code: String,
    },
    /// The sandbox has no room for old and new rows side by side.
    #[error("the rules of {table} could not be applied: the sandbox has no room")]
    NoRoom {
        /// The table.
        table: String,
    },
    /// What must not be in the copy is in it.
    #[error("the copy holds what it must not: {}", found.join("; "))]
    Leak {
        /// One phrase each.
        found: Vec<String>,
    },
    /// The dump could not be looked through. That is not a pass.
    #[error("the copy could not be looked through: {reason}")]
    NotLooked {
        /// Why.
        reason: String,
    },
    /// It is restored where the real thing belongs.
    #[error("this is an anonymised copy of `{from}`, and {why}")]
    NotHere {
        /// The target that it came from.
        from: String,
        /// Why not here.
        why: String,
    },
}

impl AnonymiseError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoKey | Self::ShortKey { .. } | Self::Rules { .. } | Self::Already { .. } => Kind::Usage,
            Self::Failed { .. } | Self::NoRoom { .. } | Self::NoRandom | Self::NotLooked { .. } => Kind::Failed,
            _ => Kind::Refused,
        }
    }

    /// The missing rules.
    #[must_use]
    pub fn excerpt(&self) -> Option<&str> {
        match self {
            Self::NoRule { paste, .. } => Some(paste),
            _ => None,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoKey => format!(
                "set {} to a long random text that you keep (`openssl rand -hex 32`), or add --random-key: pseudonyms are then others in every run",
                super::key::VARIABLE
            ),
            Self::ShortKey { .. } => "`openssl rand -hex 32` makes a good one; keep it, as pseudonyms depend on it".into(),
            Self::NoRandom => format!("give a key of your own in {}", super::key::VARIABLE),
            Self::NoRule { .. } => "say in rehearsal.toml what becomes of them: a rule each, or their tables in `anonymise.public`; `keys = \"keep\"` keeps numbers and UUIDs that are keys".into(),
            Self::Rules { .. } => "mend [anonymise.columns] in rehearsal.toml; nothing was copied".into(),
            Self::LargeObjects { .. } => "put `large_objects = \"drop\"` (or \"keep\") into [anonymise]".into(),
            Self::HalfDone { .. } => {
                "nothing was copied; let `migrate` finish it, or take it back with `rollback`, and make another backup".into()
            }
            Self::Already { .. } => "name a backup of the database itself".into(),
            Self::Broken { .. } => "choose rules that fit it: a pseudonym differs from row to row, keep-format looks like before, const passes a list of allowed values".into(),
            Self::NoRoom { .. } => {
                "free some disk space, in memory (/dev/shm) or in the temporary folder (TMPDIR), and run it again".into()
            }
            Self::Failed { .. } => "look it up under \"PostgreSQL Error Codes\"; often an index or a generated column does not take what a rule makes".into(),
            Self::Leak { .. } => "nothing was kept; give those columns a rule, and keep this record if they had one".into(),
            Self::NotLooked { .. } => "nothing was kept; run it again".into(),
            Self::NotHere { .. } => "restore a real backup, or say --anonymised if it is meant".into(),
        }
    }
}
