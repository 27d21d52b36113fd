//! Why a history row was written by hand: kept in the target, where whoever wonders about it looks.

use sqlx::AssertSqlSafe;

use super::identifier::literal;
use super::journal;
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// The table's name, beside the journal.
pub(crate) const TABLE: &str = "overrides";

/// Apart from the journal's format: versions of this tool that do not know it do no harm.
fn create(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    version bigint NOT NULL,
    command text NOT NULL,
    reason text NOT NULL,
    run_id text NOT NULL,
    role text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE {table} IS 'History rows that were written without running their migrations, and why; kept by rehearsal';"
    )
}

/// Makes the table where it is missing. Nothing is said of what is there already.
///
/// # Errors
/// When the role may not create a schema in this database.
pub async fn ensure(session: &mut Session) -> Result<()> {
    let config = session.target().journal().clone();
    let table = config.table(TABLE);
    let exists = format!("SELECT to_regclass({}) IS NOT NULL", literal(&table));
    let rows = session.fetch_text(&exists, 1).await.map_err(Stopped::doing("look for the reasons kept before"))?;
    if rows.rows.first().is_some_and(|row| row[0].as_deref() == Some("t")) {
        return Ok(());
    }
    let sql = format!("{}{}", journal::schema_to_create(session).await?, create(&table));
    let doing = Stopped::doing(format!("make a table for the reason (schema {})", config.schema));
    session.execute(&sql).await.map(drop).map_err(doing)
}

/// Keeps a reason. Called inside of the transaction that it is the reason for.
///
/// # Errors
/// The server's.
pub async fn keep(
    session: &mut Session,
    version: i64,
    command: &str,
    reason: &str,
    run_id: &str,
) -> Result<(), Stopped> {
    let table = session.target().journal().table(TABLE);
    let sql = format!("INSERT INTO {table} (version, command, reason, run_id) VALUES ($1, $2, $3, $4)");
    let query = sqlx::query(AssertSqlSafe(sql));
    session.execute_bound(query.bind(version).bind(command).bind(reason).bind(run_id)).await.map(drop)
}

/// Forgets who wrote what as a reason, in a copy that must not have it.
///
/// # Errors
/// The server's.
pub async fn forget_reasons(session: &mut Session) -> Result<(), Stopped> {
    let table = session.target().journal().table(TABLE);
    journal::change_all(session, &table, "reason = '', role = ''").await
}
