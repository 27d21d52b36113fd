//! PostgreSQL's table locks, and what each of them keeps others from.
//!
//! Source: the documentation, "Explicit Locking", table "Conflicting Lock Modes".

use serde::Serialize;

/// The modes, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// What a SELECT takes.
    AccessShare,
    /// `SELECT … FOR UPDATE` and its like.
    RowShare,
    /// What writes take.
    RowExclusive,
    /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY, VALIDATE CONSTRAINT …
    ShareUpdateExclusive,
    /// CREATE INDEX.
    Share,
    /// CREATE TRIGGER, a new foreign key.
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY.
    Exclusive,
    /// DROP, TRUNCATE, most of ALTER TABLE.
    AccessExclusive,
}

/// Whom a lock keeps waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blocks {
    /// Other changes of the schema, and some of them maintenance as well; neither reads nor writes.
    SchemaChanges,
    /// Everybody who writes.
    Writes,
    /// Everybody.
    ReadsAndWrites,
}

/// Every mode with its name in SQL and in `pg_locks`.
const NAMES: [(LockMode, &str, &str); 8] = [
    (LockMode::AccessShare, "ACCESS SHARE", "AccessShareLock"),
    (LockMode::RowShare, "ROW SHARE", "RowShareLock"),
    (LockMode::RowExclusive, "ROW EXCLUSIVE", "RowExclusiveLock"),
    (LockMode::ShareUpdateExclusive, "SHARE UPDATE EXCLUSIVE", "ShareUpdateExclusiveLock"),
    (LockMode::Share, "SHARE", "ShareLock"),
    (LockMode::ShareRowExclusive, "SHARE ROW EXCLUSIVE", "ShareRowExclusiveLock"),
    (LockMode::Exclusive, "EXCLUSIVE", "ExclusiveLock"),
    (LockMode::AccessExclusive, "ACCESS EXCLUSIVE", "AccessExclusiveLock"),
];

impl LockMode {
    /// As SQL and the documentation write it.
    #[must_use]
    pub fn as_sql(self) -> &'static str {
        NAMES.iter().find(|(mode, ..)| *mode == self).map_or("", |(_, sql, _)| sql)
    }

    /// The mode of that name in `pg_locks`.
    #[must_use]
    pub fn of_pg_locks(name: &str) -> Option<Self> {
        NAMES.iter().find(|(.., known)| *known == name).map(|(mode, ..)| *mode)
    }

    /// The mode of that name in SQL, whatever its case.
    #[must_use]
    pub fn of_sql(name: &str) -> Option<Self> {
        let words = name.split_whitespace().collect::<Vec<_>>().join(" ");
        NAMES.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(&words)).map(|(mode, ..)| *mode)
    }

    /// Whom it keeps waiting.
    #[must_use]
    pub fn blocks(self) -> Blocks {
        match self {
            Self::AccessExclusive => Blocks::ReadsAndWrites,
            // From SHARE on they conflict with the ROW EXCLUSIVE of every write.
            Self::Share | Self::ShareRowExclusive | Self::Exclusive => Blocks::Writes,
            _ => Blocks::SchemaChanges,
        }
    }
}

impl Blocks {
    /// In words, behind "blocks".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SchemaChanges => "schema changes only",
            Self::Writes => "writes",
            Self::ReadsAndWrites => "reads and writes",
        }
    }
}
