//! sqlx's own table of applied migrations, byte for byte as sqlx writes it.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::PgQueryResult;

use super::identifier::literal;
use super::journal::{self, Unfinished};
use super::query::{QueryError, Stopped, sqlstate};
use super::schema::hex;
use super::session::{Session, TextRow};
use crate::error::{Error, Result};

/// What fails when it cannot be read.
const READING: &str = "read the migration history";

/// SQLSTATE undefined_table.
const UNDEFINED_TABLE: &str = "42P01";

/// What the server complains of when the row that is to go is not there.
const NO_SUCH_ROW: &str = "rehearsal: no such row";

/// sqlx's default table.
pub const DEFAULT_TABLE: &str = "_sqlx_migrations";

/// A row of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The migration's version.
    pub version: i64,
    /// Its description.
    pub description: String,
    /// False while a file that is not one transaction runs, and after it stopped half-way.
    pub success: bool,
    /// sqlx's checksum of the up file.
    pub checksum: Vec<u8>,
}

impl Applied {
    /// With the time of its record.
    fn from_text(row: TextRow) -> (Self, i64) {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || values.next().unwrap_or_default();
        let applied = Self {
            version: next().parse().unwrap_or_default(),
            description: next(),
            success: next() == "t",
            checksum: unhex(&next()),
        };
        (applied, next().parse().unwrap_or_default())
    }
}

/// The bytes that `encode(…, 'hex')` wrote.
fn unhex(text: &str) -> Vec<u8> {
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or_default();
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// What has been applied, and what our journal knows of what is not finished.
#[derive(Debug, Clone, Default)]
pub struct History {
    rows: Vec<Applied>,
    /// When each version was recorded, in microseconds since 1970 by the server's clock.
    installed_on: BTreeMap<i64, i64>,
    journalled: Option<Unfinished>,
}

impl History {
    /// Reads it. A database without the table has no history; nothing is created.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(session: &mut Session, table: &str) -> Result<Self> {
        // As text and not prepared: one round trip each instead of two.
        let exists = format!("SELECT to_regclass({}) IS NOT NULL", literal(table));
        let rows = session.fetch_text(&exists, 1).await.map_err(Stopped::doing(READING))?.rows;
        if rows.first().and_then(|row| row.first()?.as_deref()) != Some("t") {
            return Ok(Self::default());
        }
        Self::look(session, table).await
    }

    /// The same in one round trip, which is most of what a run with nothing to do costs. Not within a
    /// transaction: where the table is missing, the server's error would end it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn look(session: &mut Session, table: &str) -> Result<Self> {
        let select = format!(
            "SELECT version, description, success, encode(checksum, 'hex'), \
                 (extract(epoch FROM installed_on) * 1000000)::bigint FROM {table} ORDER BY version"
        );
        let rows = match session.fetch_text(&select, usize::MAX).await {
            Ok(found) => found.rows,
            Err(Stopped::Failed(error)) if sqlstate(&error).as_deref() == Some(UNDEFINED_TABLE) => {
                return Ok(Self::default());
            }
            Err(stopped) => return Err(Stopped::doing(READING)(stopped)),
        };
        let mut history = Self::default();
        for (row, installed_on) in rows.into_iter().map(Applied::from_text) {
            history.installed_on.insert(row.version, installed_on);
            history.rows.push(row);
        }
        if let Some(version) = history.unfinished().map(|row| row.version) {
            history.journalled = journal::unfinished(session, version).await?;
        }
        Ok(history)
    }

    /// The rows by version.
    pub fn iter(&self) -> impl Iterator<Item = &Applied> {
        self.rows.iter()
    }

    /// The row of that version.
    #[must_use]
    pub fn get(&self, version: i64) -> Option<&Applied> {
        self.rows.iter().find(|row| row.version == version)
    }

    /// Whether that version is applied and finished.
    #[must_use]
    pub fn is_applied(&self, version: i64) -> bool {
        self.get(version).is_some_and(|row| row.success)
    }

    /// All versions in the order in which they were applied: by version, but for those that were `late`,
    /// which stand behind what was there when they came.
    #[must_use]
    pub fn in_order(&self, late: impl Fn(i64) -> bool) -> Vec<i64> {
        let when = |version: i64| self.installed_on.get(&version).copied().unwrap_or_default();
        let all: Vec<i64> = self.rows.iter().map(|row| row.version).collect();
        let came_late =
            |version: &i64| late(*version) && all.iter().any(|other| other > version && when(*other) < when(*version));
        let (mut late, mut order): (Vec<i64>, Vec<i64>) = all.iter().partition(|version| came_late(version));
        late.sort_by_key(|version| when(*version));
        for version in late {
            let behind = order.iter().rposition(|other| when(*other) < when(version));
            order.insert(behind.map_or(0, |at| at + 1), version);
        }
        order
    }

    /// The newest version that is finished.
    #[must_use]
    pub fn latest_finished(&self) -> Option<i64> {
        self.rows.iter().filter(|row| row.success).map(|row| row.version).max()
    }

    /// The version that stopped half-way.
    #[must_use]
    pub fn unfinished(&self) -> Option<&Applied> {
        self.rows.iter().find(|row| !row.success)
    }

    /// How far it came, when our journal knows.
    #[must_use]
    pub fn journalled(&self) -> Option<&Unfinished> {
        self.journalled.as_ref()
    }

    /// Takes out the versions that are newer than `newest` and gives them back: to a program that has only
    /// older migrations, they are the business of a later one.
    pub fn take_newer_than(&mut self, newest: i64) -> Vec<i64> {
        let unfinished = self.unfinished().map(|row| row.version);
        if unfinished.is_some_and(|version| version > newest) {
            self.journalled = None;
        }
        let (rows, newer) = std::mem::take(&mut self.rows).into_iter().partition(|row| row.version <= newest);
        self.rows = rows;
        newer.into_iter().map(|row: Applied| row.version).collect()
    }

    #[cfg(test)]
    pub(crate) fn for_tests(rows: impl Iterator<Item = Applied>) -> Self {
        Self { rows: rows.collect(), ..Self::default() }
    }
}

/// What sqlx's own code runs to create the table, for a script that does without it.
#[must_use]
pub fn definition(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (\n    version BIGINT PRIMARY KEY,\n    description TEXT NOT NULL,\n    \
         installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),\n    success BOOLEAN NOT NULL,\n    checksum BYTEA NOT NULL,\n    \
         execution_time BIGINT NOT NULL\n);"
    )
}

/// Creates the table as sqlx creates it, by sqlx's own code.
///
/// # Errors
/// When the role may not.
pub async fn ensure_table(session: &mut Session, table: &str) -> Result<()> {
    match session.connection().ensure_migrations_table(table).await {
        Ok(()) => Ok(()),
        Err(MigrateError::Execute(source)) => Err(QueryError { doing: format!("create {table}"), source }.into()),
        Err(other) => Err(Error::from(QueryError {
            doing: format!("create {table}"),
            source: sqlx::Error::Protocol(other.to_string()),
        })),
    }
}

/// Records a version, finished or as one that has only begun.
///
/// # Errors
/// The server's.
pub async fn insert(
    session: &mut Session,
    table: &str,
    applied: &Applied,
    execution_time: Option<Duration>,
) -> Result<(), Stopped> {
    let insert = format!(
        "INSERT INTO {table} (version, description, success, checksum, execution_time) VALUES ($1, $2, $3, $4, $5)"
    );
    // sqlx writes -1 until the time is known, and nanoseconds after that.
    let nanoseconds = execution_time.map_or(-1, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    let query = sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(applied.version)
        .bind(&applied.description)
        .bind(applied.success)
        .bind(&applied.checksum)
        .bind(nanoseconds);
    session.execute_bound(query).await.map(drop)
}

/// Records a finished version and commits the transaction that it belongs to, in one message: as text,
/// because a prepared statement comes alone.
///
/// # Errors
/// The server's, of either; [`speaks_of_it`] tells them apart.
pub async fn insert_and_commit(
    session: &mut Session,
    table: &str,
    applied: &Applied,
    took: Duration,
) -> Result<(), Stopped> {
    let Applied { version, description, success, checksum, .. } = applied;
    let (description, checksum) = (literal(description), literal(&hex(checksum)));
    let nanoseconds = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
    let sql = format!(
        "INSERT INTO {table} (version, description, success, checksum, execution_time) \
         VALUES ({version}, {description}, {success}, decode({checksum}, 'hex'), {nanoseconds}); COMMIT"
    );
    session.execute(&sql).await.map(drop)
}

/// Whether a failure is about the history table itself, and not about what a commit checks last.
#[must_use]
pub fn speaks_of_it(table: &str, stopped: &Stopped) -> bool {
    let Stopped::Failed(error) = stopped else { return true };
    let Some(error) = error.as_database_error() else { return true };
    // Class 42: the table is not there, or may not be written. What was put off until the commit, a
    // constraint or a trigger, names its own table or none.
    error.table() == Some(table.rsplit('.').next().unwrap_or(table))
        || error.code().is_some_and(|code| code.starts_with("42"))
}

/// Marks a recorded version as finished, or as begun again.
///
/// # Errors
/// The server's; [`Stopped::Unexpected`] when somebody else has taken the row away.
pub async fn set_success(
    session: &mut Session,
    table: &str,
    version: i64,
    success: bool,
    execution_time: Option<Duration>,
) -> Result<(), Stopped> {
    let update =
        format!("UPDATE {table} SET success = $2, execution_time = coalesce($3, execution_time) WHERE version = $1");
    let nanoseconds = execution_time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    let query = sqlx::query(sqlx::AssertSqlSafe(update)).bind(version).bind(success).bind(nanoseconds);
    exactly_one(session.execute_bound(query).await?, version)
}

/// Takes over the checksum of a file that was mended before it was finished.
///
/// # Errors
/// The server's.
pub async fn set_checksum(session: &mut Session, table: &str, version: i64, checksum: &[u8]) -> Result<(), Stopped> {
    let update = format!("UPDATE {table} SET checksum = $2 WHERE version = $1 AND NOT success");
    let query = sqlx::query(sqlx::AssertSqlSafe(update)).bind(version).bind(checksum);
    session.execute_bound(query).await.map(drop)
}

/// Takes over the checksum of a file that was edited after it was applied, where the recorded one is still
/// the one that somebody has looked at.
///
/// # Errors
/// The server's; [`Stopped::Unexpected`] when the row is another one by now.
pub async fn replace_checksum(
    session: &mut Session,
    table: &str,
    version: i64,
    recorded: &[u8],
    checksum: &[u8],
) -> Result<(), Stopped> {
    let update = format!("UPDATE {table} SET checksum = $3 WHERE version = $1 AND success AND checksum = $2");
    let query = sqlx::query(sqlx::AssertSqlSafe(update)).bind(version).bind(recorded).bind(checksum);
    exactly_one(session.execute_bound(query).await?, version)
}

/// Forgets a version that was undone, inside of a transaction that goes on: when the row is gone already,
/// somebody else has undone it, and this must not do it twice.
///
/// # Errors
/// The server's; [`Stopped::Unexpected`] when there is no such row.
pub async fn delete(session: &mut Session, table: &str, version: i64) -> Result<(), Stopped> {
    let delete = format!("DELETE FROM {table} WHERE version = $1");
    let query = sqlx::query(sqlx::AssertSqlSafe(delete)).bind(version);
    exactly_one(session.execute_bound(query).await?, version)
}

/// The same, and commits the transaction, in one message.
///
/// # Errors
/// As [`delete`]; [`speaks_of_it`] tells what was put off until the commit.
pub async fn delete_and_commit(session: &mut Session, table: &str, version: i64) -> Result<(), Stopped> {
    // Without a row this is no number, and what stands behind an error in a message is not run.
    let sql = format!(
        "WITH gone AS (DELETE FROM {table} WHERE version = {version} RETURNING version) \
         SELECT (CASE count(*) WHEN 1 THEN '1' ELSE '{NO_SUCH_ROW}' END)::integer FROM gone; COMMIT"
    );
    match session.execute(&sql).await {
        Err(Stopped::Failed(error))
            if error.as_database_error().is_some_and(|error| error.message().contains(NO_SUCH_ROW)) =>
        {
            Err(taken_away(version))
        }
        outcome => outcome.map(drop),
    }
}

fn exactly_one(done: PgQueryResult, version: i64) -> Result<(), Stopped> {
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(taken_away(version))
}

fn taken_away(version: i64) -> Stopped {
    Stopped::Unexpected(format!("the history row of version {version} was taken away by somebody else meanwhile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_late_stands_behind_what_was_there() {
        let row = |version| Applied { version, description: "m".into(), success: true, checksum: Vec::new() };
        // 3 and 4 came after 6; the clock of 2 was wrong.
        let installed_on = BTreeMap::from([(1, 10), (2, 5), (3, 50), (4, 40), (5, 20), (6, 30), (7, 60)]);
        let history = History { rows: (1..=7).map(row).collect(), installed_on, journalled: None };
        assert_eq!(history.in_order(|_| false), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(history.in_order(|version| version == 4), [1, 2, 3, 5, 6, 4, 7]);
        assert_eq!(history.in_order(|_| true), [2, 1, 5, 6, 4, 3, 7]);
    }

    #[test]
    fn bytes_come_back_from_hex() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&bytes)), bytes);
    }
}
