//! The classes: in a transaction, outside of one, or in batches.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a statement may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// In a transaction.
    Transactional,
    /// Only outside of one: PostgreSQL refuses it in a transaction block.
    NonTransactional(Action),
    /// In key ranges, each its own transaction.
    Batched(Batch),
}

/// What a non-transactional statement does, as far as recovery after a crash needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `CREATE INDEX CONCURRENTLY`.
    CreateIndex(IndexBuild),
    /// `DROP INDEX CONCURRENTLY`.
    DropIndex {
        /// The index as written, with its schema if that was given.
        name: String,
    },
    /// `REINDEX … CONCURRENTLY`, which leaves INVALID indexes of its own when it is stopped.
    Reindex(Reindexed),
    /// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`; names as written, quotes included.
    DetachPartition {
        /// The partitioned table.
        table: String,
        /// What is to go.
        partition: String,
    },
    /// What may simply be run again: `VACUUM`, `REINDEX`, `CLUSTER` …
    Repeatable {
        /// See [`Action::waits`].
        waits: bool,
    },
    /// What nobody can tell from outside whether it was done: `CALL`, `CREATE DATABASE`, a file that
    /// the parser does not understand.
    Unknown {
        /// See [`Action::waits`].
        waits: bool,
    },
}

/// An index that is to be built; names as written, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBuild {
    /// The index, unless PostgreSQL is to choose its name.
    pub name: Option<String>,
    /// Its table.
    pub table: String,
    /// No two rows may have the same key.
    pub unique: bool,
    /// What stands behind the table's name: method, keys, condition.
    pub definition: String,
}

/// What a `REINDEX` is about; names as written, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reindexed {
    /// One index.
    Index(String),
    /// The indexes of a table.
    Table(String),
    /// Those of a schema or of the database.
    All,
}

/// The marker `/* batch: TABLE.KEY */ TRUE` of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The table whose key is walked, as the statement writes it.
    pub table: String,
    /// How the statement calls that table: its alias, if it has one.
    pub qualifier: String,
    /// The key column, as written.
    pub key: String,
    /// Byte range of comment and `TRUE` in the statement's text.
    pub marker: Range<usize>,
    /// Rows that came in meanwhile are walked as well.
    pub sweeps: bool,
    /// The rows that are walked are changed, and not only read or deleted.
    pub updates: bool,
}

impl Action {
    /// Whether it waits for other transactions by its nature (`CONCURRENTLY`), and blocks nobody meanwhile. Such
    /// a one needs no limit for locks; behind any other, others would queue.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::CreateIndex(_) | Self::DropIndex { .. } | Self::Reindex(_) | Self::DetachPartition { .. } => true,
            Self::Repeatable { waits } | Self::Unknown { waits } => *waits,
        }
    }
}

impl Class {
    /// One word for people and records.
    #[must_use]
    pub fn label(&self) -> ClassLabel {
        match self {
            Self::Transactional => ClassLabel::Transactional,
            Self::NonTransactional(_) => ClassLabel::NonTransactional,
            Self::Batched(_) => ClassLabel::Batched,
        }
    }
}

/// A [`Class`] without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassLabel {
    /// See [`Class::Transactional`].
    Transactional,
    /// See [`Class::NonTransactional`].
    NonTransactional,
    /// See [`Class::Batched`].
    Batched,
}

impl std::fmt::Display for ClassLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Transactional => "transactional",
            Self::NonTransactional => "non-transactional",
            Self::Batched => "batched",
        })
    }
}
