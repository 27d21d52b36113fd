//! What a file that is not one transaction has done so far.
//!
//! A table in a schema of our own in the target, made when the first such file runs. A row per statement: its
//! intent is written before, its completion after; a batch writes its checkpoint in its own
//! transaction. So whatever stops a run, the next one knows where it stood.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Row};

use super::identifier::{literal, qualified, quote};
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;
use crate::plan::Direction;

/// The schema of our own tables, where nothing else is asked for.
const DEFAULT_SCHEMA: &str = "rehearsal";

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JournalConfig {
    /// The schema of our own tables. Comparisons of schema and data leave it out.
    pub schema: String,
    /// Where the role may not make it, files that are not one transaction are refused.
    pub required: bool,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { schema: DEFAULT_SCHEMA.into(), required: true }
    }
}

impl JournalConfig {
    /// What cannot be meant, as a phrase that begins with the field.
    pub(crate) fn complaint(&self) -> Option<String> {
        // PostgreSQL cuts longer names, and keeps those that begin with pg_ for itself.
        let usable = (1..=63).contains(&self.schema.len()) && !self.schema.starts_with("pg_");
        let usable = usable && !["public", "information_schema"].contains(&self.schema.as_str());
        (!usable).then(|| format!("journal.schema must be the name of a schema of its own, not `{}`", self.schema))
    }

    /// A table of ours, as SQL writes it.
    pub(super) fn table(&self, name: &str) -> String {
        qualified(&self.schema, name)
    }
}

/// The table's name in that schema.
pub(crate) const TABLE: &str = "journal";

/// Version of the tables; it goes up when they change. The table's comment tells it, which one query
/// reads together with whether there is a table at all, and which a dump carries along.
const FORMAT: usize = 1;

/// What brings a journal of each earlier format to the next one.
fn upgrades(table: &str) -> [String; FORMAT] {
    [
        // Before formats were counted there were fewer states.
        format!(
            "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS journal_state_check, \
                 ADD CONSTRAINT journal_state_check CHECK (state IN ('waiting', 'started', 'done')); \
             COMMENT ON TABLE {table} IS 'format 1'"
        ),
    ]
}

fn create(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
    version bigint NOT NULL,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    statement integer NOT NULL,
    digest text NOT NULL,
    run_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'started', 'done')),
    rows_affected bigint NOT NULL DEFAULT 0,
    checkpoint text,
    upper_bound text,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (version, direction, statement)
);
COMMENT ON TABLE {table} IS 'format 1';"
    )
}

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the journal in this database is of format {found}, and this version of the tool knows {FORMAT}")]
pub struct JournalError {
    found: usize,
}

impl JournalError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        "use the newer version of this tool that has worked on this database".into()
    }
}

/// How far a statement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not begun, or known to have failed.
    Waiting,
    /// Begun; what stopped it, stopped us as well.
    Started,
    /// Completed.
    Done,
}

/// Where a statement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How far it came.
    pub state: State,
    /// Digest of the statement's text: only the same statement can be resumed.
    pub digest: String,
    /// Rows so far.
    pub rows: u64,
    /// The last key of the last complete batch.
    pub checkpoint: Option<String>,
    /// The highest key when the batches began.
    pub upper_bound: Option<String>,
}

/// Names one statement of one file in one direction.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file's version.
    pub version: i64,
    /// There or back.
    pub direction: Direction,
    /// The statement's number in the file.
    pub statement: i32,
}

/// Creates the tables if they are not there, and brings those of earlier versions up to date. Whether there is
/// a journal from here on: the session does without one that may not be made, where none is required.
///
/// # Errors
/// When the role may not create a schema in this database, or [`JournalError`].
pub async fn ensure(session: &mut Session) -> Result<bool> {
    let config = session.target().journal().clone();
    let table = config.table(TABLE);
    let doing = |what: &str| Stopped::doing(format!("{what} (schema {})", config.schema));
    match format(session).await? {
        None if !config.required && !can_be_kept(session).await? => {
            session.do_without_journal();
            return Ok(false);
        }
        None => {
            let sql = format!("{}{}", schema_to_create(session).await?, create(&table));
            session.execute(&sql).await.map_err(doing("create the journal"))?
        }
        Some(found) if found < FORMAT => {
            // All of them in one message, which is one transaction.
            let upgrades = upgrades(&table)[found..].join("; ");
            session.execute(&upgrades).await.map_err(doing("bring the journal up to date"))?
        }
        Some(_) => return Ok(true),
    };
    Ok(true)
}

/// What makes our schema; empty where it is there. Whoever has it made by somebody else need not have the
/// right to make schemas, which `IF NOT EXISTS` asks for all the same.
pub(super) async fn schema_to_create(session: &mut Session) -> Result<String> {
    let schema = quote(&session.target().journal().schema);
    let query = sqlx::query("SELECT to_regnamespace($1) IS NOT NULL").bind(schema.clone());
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("look for our schema"))?;
    if rows.first().is_some_and(|row| row.get(0)) {
        return Ok(String::new());
    }
    Ok(format!(
        "CREATE SCHEMA {schema}; COMMENT ON SCHEMA {schema} IS \
         'How far migrations that are not one transaction have come; kept by rehearsal'; "
    ))
}

/// Whether there is a journal, or the role may make one.
///
/// # Errors
/// The server's.
pub async fn can_be_kept(session: &mut Session) -> Result<bool> {
    let config = session.target().journal();
    let query = sqlx::query(
        "SELECT to_regclass($1) IS NOT NULL OR \
                coalesce(has_schema_privilege(to_regnamespace($2)::oid, 'CREATE'), \
                         has_database_privilege(current_database(), 'CREATE'))",
    )
    .bind(config.table(TABLE))
    .bind(quote(&config.schema));
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("see whether a journal can be kept"))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Whether this database has a journal.
///
/// # Errors
/// The server's, or [`JournalError`].
pub async fn exists(session: &mut Session) -> Result<bool> {
    format(session).await.map(|format| format.is_some())
}

async fn format(session: &mut Session) -> Result<Option<usize>> {
    let table = literal(&session.target().journal().table(TABLE));
    let query = format!("SELECT oid, obj_description(oid, 'pg_class') FROM to_regclass({table}) AS oid");
    let rows = session.fetch_text(&query, 1).await.map_err(Stopped::doing("look for the journal"))?;
    let Some([Some(_), comment]) = rows.rows.first().map(Vec::as_slice) else { return Ok(None) };
    let number = comment.as_deref().and_then(|comment| comment.strip_prefix("format "));
    let found = number.and_then(|number| number.parse().ok()).unwrap_or(0);
    if found > FORMAT { Err(JournalError { found }.into()) } else { Ok(Some(found)) }
}

/// What is known of a file that stopped half-way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// In which direction.
    pub direction: Direction,
    /// Digests of the statements that are done, or have done some of their batches, by number. These
    /// must stay as they are; what comes after them may still be mended.
    pub fixed: BTreeMap<usize, String>,
}

/// How far a version came that stopped half-way, if this journal knows.
///
/// # Errors
/// The server's.
pub async fn unfinished(session: &mut Session, version: i64) -> Result<Option<Unfinished>> {
    if !exists(session).await? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT direction, statement, digest, state = 'done' OR checkpoint IS NOT NULL FROM {} \
         WHERE version = $1 ORDER BY started_at, statement",
        session.target().journal().table(TABLE)
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(version);
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("read the journal"))?;
    // A file's first statement in one direction makes the journal forget the other one.
    let Some(last) = rows.last() else { return Ok(None) };
    let direction = if last.get::<&str, _>(0) == "down" { Direction::Down } else { Direction::Up };
    let fixed = rows
        .iter()
        .filter(|row| row.get::<bool, _>(3))
        .map(|row| (usize::try_from(row.get::<i32, _>(1)).unwrap_or_default(), row.get(2)))
        .collect();
    Ok(Some(Unfinished { direction, fixed }))
}

/// Digests of the statements of a version that are done in this direction, by number.
///
/// # Errors
/// The server's.
pub async fn done(
    session: &mut Session,
    version: i64,
    direction: Direction,
) -> Result<BTreeMap<usize, String>, Stopped> {
    let Some(table) = session.journal() else { return Ok(BTreeMap::new()) };
    let sql = format!("SELECT statement, digest FROM {table} WHERE version = $1 AND direction = $2 AND state = 'done'");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(version).bind(direction.as_str());
    let rows = session.fetch_bound(query).await?;
    Ok(rows.iter().map(|row| (usize::try_from(row.get::<i32, _>(0)).unwrap_or_default(), row.get(1))).collect())
}

/// The version of a batched statement that has done some of its batches, if there is one.
///
/// # Errors
/// The server's, or [`JournalError`].
pub async fn half_done_batch(session: &mut Session) -> Result<Option<i64>> {
    if !exists(session).await? {
        return Ok(None);
    }
    let table = session.target().journal().table(TABLE);
    let sql = format!("SELECT version FROM {table} WHERE state <> 'done' AND checkpoint IS NOT NULL LIMIT 1");
    let rows =
        session.fetch_bound(sqlx::query(AssertSqlSafe(sql))).await.map_err(Stopped::doing("read the journal"))?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Forgets the keys of rows between which batched statements went, in a copy that must not have them. What is done
/// needs them no more.
///
/// # Errors
/// The server's.
pub async fn forget_keys(session: &mut Session) -> Result<(), Stopped> {
    let table = session.target().journal().table(TABLE);
    change_all(session, &table, "checkpoint = NULL, upper_bound = NULL").await
}

/// Changes all rows of one of our tables, if it is there.
pub(super) async fn change_all(session: &mut Session, table: &str, change: &str) -> Result<(), Stopped> {
    let exists = format!("SELECT to_regclass({}) IS NOT NULL", literal(table));
    let rows = session.fetch_text(&exists, 1).await?;
    if rows.rows.first().is_some_and(|row| row[0].as_deref() == Some("t")) {
        session.execute(&format!("UPDATE {table} SET {change}")).await?;
    }
    Ok(())
}

/// Forgets what an earlier, finished pass over this file wrote.
///
/// # Errors
/// The server's.
pub async fn forget(session: &mut Session, version: i64) -> Result<(), Stopped> {
    let Some(table) = session.journal() else { return Ok(()) };
    let query = sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE version = $1"))).bind(version);
    session.execute_bound(query).await.map(drop)
}

impl Place {
    /// What is known of it.
    ///
    /// # Errors
    /// The server's.
    pub async fn read(&self, session: &mut Session) -> Result<Option<Entry>, Stopped> {
        let Some(table) = session.journal() else { return Ok(None) };
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT state, digest, rows_affected, checkpoint, upper_bound FROM {table} \
             WHERE version = $1 AND direction = $2 AND statement = $3"
        )))
        .bind(self.version)
        .bind(self.direction.as_str())
        .bind(self.statement);
        let rows = session.fetch_bound(query).await?;
        Ok(rows.first().map(|row| Entry {
            state: match row.get::<&str, _>(0) {
                "done" => State::Done,
                "started" => State::Started,
                _ => State::Waiting,
            },
            digest: row.get(1),
            rows: u64::try_from(row.get::<i64, _>(2)).unwrap_or_default(),
            checkpoint: row.get(3),
            upper_bound: row.get(4),
        }))
    }

    /// Writes the intent. What is known of the same statement stays; another one begins anew.
    ///
    /// # Errors
    /// The server's.
    pub async fn start(
        &self,
        session: &mut Session,
        digest: &str,
        run_id: &str,
        upper_bound: Option<&str>,
    ) -> Result<(), Stopped> {
        let Some(table) = session.journal() else { return Ok(()) };
        let query = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO {table} (version, direction, statement, digest, run_id, state, upper_bound) \
             VALUES ($1, $2, $3, $4, $5, 'started', $6) \
             ON CONFLICT (version, direction, statement) DO UPDATE SET run_id = excluded.run_id, state = 'started', \
               digest = excluded.digest, \
               upper_bound = CASE WHEN journal.digest = excluded.digest THEN journal.upper_bound ELSE excluded.upper_bound END, \
               checkpoint = CASE WHEN journal.digest = excluded.digest THEN journal.checkpoint END, \
               rows_affected = CASE WHEN journal.digest = excluded.digest THEN journal.rows_affected ELSE 0 END"
        )))
        .bind(self.version)
        .bind(self.direction.as_str())
        .bind(self.statement)
        .bind(digest)
        .bind(run_id)
        .bind(upper_bound);
        session.execute_bound(query).await.map(drop)
    }

    /// Writes that it has not been begun, or that the server has refused it: there is nothing that it
    /// could have left behind unseen.
    ///
    /// # Errors
    /// The server's.
    pub async fn wait(&self, session: &mut Session, digest: &str, run_id: &str) -> Result<(), Stopped> {
        self.start(session, digest, run_id, None).await?;
        let Some(table) = session.journal() else { return Ok(()) };
        let query = sqlx::query(AssertSqlSafe(format!(
            "UPDATE {table} SET state = 'waiting' WHERE version = $1 AND direction = $2 AND statement = $3"
        )))
        .bind(self.version)
        .bind(self.direction.as_str())
        .bind(self.statement);
        session.execute_bound(query).await.map(drop)
    }

    /// Moves the checkpoint. Called inside of the batch's transaction.
    ///
    /// # Errors
    /// The server's.
    pub async fn checkpoint(
        &self,
        session: &mut Session,
        checkpoint: &str,
        rows: u64,
        upper_bound: &str,
    ) -> Result<(), Stopped> {
        let Some(table) = session.journal() else { return Ok(()) };
        let query = sqlx::query(AssertSqlSafe(format!(
            "UPDATE {table} SET checkpoint = $4, rows_affected = $5, upper_bound = $6 \
             WHERE version = $1 AND direction = $2 AND statement = $3"
        )))
        .bind(self.version)
        .bind(self.direction.as_str())
        .bind(self.statement)
        .bind(checkpoint)
        .bind(i64::try_from(rows).unwrap_or(i64::MAX))
        .bind(upper_bound);
        session.execute_bound(query).await.map(drop)
    }

    /// Writes the completion.
    ///
    /// # Errors
    /// The server's.
    pub async fn finish(&self, session: &mut Session, rows: u64) -> Result<(), Stopped> {
        let Some(table) = session.journal() else { return Ok(()) };
        let query = sqlx::query(AssertSqlSafe(format!(
            "UPDATE {table} SET state = 'done', rows_affected = $4, finished_at = clock_timestamp() \
             WHERE version = $1 AND direction = $2 AND statement = $3"
        )))
        .bind(self.version)
        .bind(self.direction.as_str())
        .bind(self.statement)
        .bind(i64::try_from(rows).unwrap_or(i64::MAX));
        session.execute_bound(query).await.map(drop)
    }
}
