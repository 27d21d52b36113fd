//! How much of what a plan throws away there is, in the database as it stands.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use crate::error::Result;
use crate::losses::{Loss, Lost};
use crate::postgres::identifier::quote;
use crate::postgres::query::{Stopped, is_connection_lost};
use crate::postgres::session::Session;
use crate::report::format::plural;

/// Something that is thrown away, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// `drops table conversations (migrations/0010_conversations.down.sql:4)`.
    pub what: String,
    /// `1,234 rows`.
    pub amount: String,
}

/// Counts it. What takes longer than `limit` is estimated from the planner's statistics; what is not there
/// under that name, because an earlier file is going to rename it, is said to be so.
///
/// # Errors
/// Only when the connection is lost or the user interrupts.
pub async fn count(session: &mut Session, losses: &[Loss], limit: Duration) -> Result<Vec<Counted>> {
    let mut counted = Vec::new();
    for loss in losses {
        let place = format!("({}:{})", loss.path.display(), loss.line);
        let (what, amount) = match &loss.what {
            Lost::Table(table) => (format!("drops table {table}"), amount(session, table, None, limit).await),
            Lost::AllRows(table) => (format!("empties table {table}"), amount(session, table, None, limit).await),
            Lost::Column { table, column } => {
                (format!("drops column {table}.{column}"), amount(session, table, Some(column), limit).await)
            }
            Lost::Schema(schema) => (format!("drops schema {schema}"), Ok("with what is in it".into())),
            Lost::Rows(table) => (format!("deletes from {table}"), Ok("the rows of its condition".into())),
        };
        let amount = amount.map_err(Stopped::doing("count what is going to be thrown away"))?;
        counted.push(Counted { what: format!("{what} {place}"), amount });
    }
    Ok(counted)
}

async fn amount(session: &mut Session, table: &str, column: Option<&str>, limit: Duration) -> Result<String, Stopped> {
    let unit = if column.is_some() { "value" } else { "row" };
    session.begin_reading(limit).await?;
    let counted = exact(session, table, column).await;
    session.end_reading().await?;
    match counted {
        Ok(Some(number)) => Ok(plural(number, unit)),
        Ok(None) => Ok("not there under this name as things stand".into()),
        Err(Stopped::Failed(error)) if !is_connection_lost(&error) => estimate(session, table).await,
        Err(stopped) => Err(stopped),
    }
}

async fn exact(session: &mut Session, table: &str, column: Option<&str>) -> Result<Option<u64>, Stopped> {
    // Resolved by the server, so that what is put into the query is a name and nothing else.
    let names = sqlx::query(
        "SELECT n.nspname::text, c.relname::text, \
                (SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped \
                   AND a.attnum > 0 AND (a.attname = $2 OR quote_ident(a.attname) = $2)) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)",
    );
    let rows = session.fetch_bound(names.bind(table).bind(column)).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (schema, relation, found): (String, String, Option<String>) = (row.get(0), row.get(1), row.get(2));
    let counted = match (column, found) {
        (None, _) => "*".to_owned(),
        (Some(_), Some(column)) => quote(&column),
        (Some(_), None) => return Ok(None),
    };
    let sql = format!("SELECT count({counted}) FROM {}.{}", quote(&schema), quote(&relation));
    let rows = session.fetch_bound(sqlx::query(AssertSqlSafe(sql))).await?;
    Ok(rows.first().map(|row| u64::try_from(row.get::<i64, _>(0)).unwrap_or(0)))
}

async fn estimate(session: &mut Session, table: &str) -> Result<String, Stopped> {
    let query = sqlx::query("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass($1)");
    let rows = session.fetch_bound(query.bind(table)).await?;
    let rows = rows.first().map_or(0, |row| u64::try_from(row.get::<i64, _>(0)).unwrap_or(0));
    Ok(format!("about {}; they could not be counted in time", plural(rows, "row")))
}
