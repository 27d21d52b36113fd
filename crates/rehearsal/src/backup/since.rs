//! What was written since a backup, as far as the database as it stands can tell: what a restore takes back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::manifest::Manifest;
use crate::error::Result;
use crate::postgres::contents::{self, Reading, TableName};
use crate::postgres::query::{Stopped, is_connection_lost};
use crate::postgres::session::Session;
use crate::report::format::{count, plural};

/// How closely it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// How many rows there are.
    Rows,
    /// What the rows hold: all of them are read.
    Contents,
}

/// What became of a table since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is not in the backup.
    Made {
        /// Its rows; unknown when they could not be counted in time.
        rows: Option<u64>,
    },
    /// It is only in the backup.
    Dropped {
        /// Its rows then.
        rows: u64,
    },
    /// It has more or fewer rows.
    Rows {
        /// Rows in the backup.
        then: u64,
        /// Rows now.
        now: u64,
    },
    /// It has as many rows, which do not hold the same.
    Contents {
        /// How many.
        rows: u64,
    },
    /// It could not be read in time.
    Unread {
        /// Rows in the backup.
        then: u64,
    },
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Made { rows: Some(rows) } => write!(f, "made since, with {}: all of it", plural(*rows, "row")),
            Self::Made { rows: None } => f.write_str("made since: all of it"),
            Self::Dropped { rows } => write!(f, "dropped since: comes back with {}", plural(*rows, "row")),
            Self::Rows { then, now } if now > then => {
                write!(
                    f,
                    "at least {} inserted ({} then, {} now)",
                    plural(now - then, "row"),
                    count(*then),
                    count(*now)
                )
            }
            Self::Rows { then, now } => {
                write!(f, "at least {} deleted ({} then, {} now)", plural(then - now, "row"), count(*then), count(*now))
            }
            Self::Contents { rows } => write!(f, "some of {} changed", plural(*rows, "row")),
            Self::Unread { then } => write!(f, "not read in time ({} then)", plural(*then, "row")),
        }
    }
}

/// A table that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The table.
    pub table: TableName,
    /// What became of it.
    pub change: Change,
}

/// Compares the database with a backup, table by table, without ours and the history. After `limit` the rest
/// is not read any more; a table that cannot be read is said to be so.
///
/// # Errors
/// Only when the connection is lost or the user interrupts.
pub async fn since(
    session: &mut Session,
    manifest: &Manifest,
    history_table: &str,
    depth: Depth,
    limit: Duration,
) -> Result<Vec<Changed>> {
    let there = contents::dumped_of_user(session, history_table).await?;
    let readings: BTreeMap<_, _> = contents::present(session, &there).await?.into_iter().collect();
    let ours = session.target().journal().schema.clone();
    let history = history_table.rsplit('.').next().unwrap_or(history_table).trim_matches('"').to_owned();
    let deadline = Instant::now() + limit;
    let mut changed = Vec::new();
    for entry in &manifest.tables {
        let table = &entry.name;
        let change = match readings.get(table) {
            None if table.schema == ours || table.name == history => None,
            None => Some(Change::Dropped { rows: entry.rows }),
            Some(reading) => match read(session, table, reading, depth, deadline).await? {
                None => Some(Change::Unread { then: entry.rows }),
                Some((now, _)) if now != entry.rows => Some(Change::Rows { then: entry.rows, now }),
                Some((rows, Some(sum))) if format!("{sum:032x}") != entry.fingerprint => {
                    Some(Change::Contents { rows })
                }
                Some(_) => None,
            },
        };
        changed.extend(change.map(|change| Changed { table: table.clone(), change }));
    }
    for (&table, reading) in &readings {
        // Earlier versions did not write down what extensions have dumped.
        if !reading.of_extension && !manifest.tables.iter().any(|entry| entry.name == *table) {
            let rows = read(session, table, reading, Depth::Rows, deadline).await?.map(|(rows, _)| rows);
            changed.push(Changed { table: table.clone(), change: Change::Made { rows } });
        }
    }
    Ok(changed)
}

/// Rows, and their fingerprint where it is asked for; nothing when that takes too long, or the server refuses.
async fn read(
    session: &mut Session,
    table: &TableName,
    reading: &Reading,
    depth: Depth,
    deadline: Instant,
) -> Result<Option<(u64, Option<u128>)>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(None);
    }
    let doing = || Stopped::doing(format!("read {table}"));
    let (settings, limit) = (contents::BEGIN, left.as_millis().max(1));
    let begin = format!("{settings}; {}; SET LOCAL statement_timeout = {limit}", contents::AS_STORED);
    session.execute(&begin).await.map_err(doing())?;
    let found = match depth {
        Depth::Rows => reading.count(session).await.map(|rows| (rows, None)),
        Depth::Contents => reading.fingerprint(session).await.map(|found| (found.rows, Some(found.sum))),
    };
    match found {
        Err(Stopped::Failed(error)) if !is_connection_lost(&error) => {
            session.execute("ROLLBACK").await.map_err(doing())?;
            Ok(None)
        }
        Err(stopped) => Err(doing()(stopped)),
        Ok(found) => {
            session.execute("ROLLBACK").await.map_err(doing())?;
            Ok(Some(found))
        }
    }
}
