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
    let wanted: Vec<Wanted<'_>> = losses.iter().filter_map(Wanted::of).collect();
    let amounts = amounts(session, &wanted, limit).await;
    let mut amounts = amounts.map_err(Stopped::doing("count what is going to be thrown away"))?.into_iter();
    let mut amount = || amounts.next().unwrap_or_default();
    let counted = losses.iter().map(|loss| {
        let (what, amount) = match &loss.what {
            Lost::Table(table) => (format!("drops table {table}"), amount()),
            Lost::AllRows(table) => (format!("empties table {table}"), amount()),
            Lost::Column { table, column } => (format!("drops column {table}.{column}"), amount()),
            Lost::Schema(schema) => (format!("drops schema {schema}"), "with what is in it".into()),
            Lost::Rows(table) => (format!("deletes from {table}"), "the rows of its condition".into()),
        };
        Counted { what: format!("{what} ({}:{})", loss.path.display(), loss.line), amount }
    });
    Ok(counted.collect())
}

/// What can be counted: a table's rows, or a column's values.
struct Wanted<'a> {
    table: &'a str,
    column: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(loss: &'a Loss) -> Option<Self> {
        match &loss.what {
            Lost::Table(table) | Lost::AllRows(table) => Some(Self { table, column: None }),
            Lost::Column { table, column } => Some(Self { table, column: Some(column) }),
            Lost::Schema(_) | Lost::Rows(_) => None,
        }
    }

    fn told(&self, number: Option<u64>) -> String {
        let unit = if self.column.is_some() { "value" } else { "row" };
        number.map_or_else(|| "not there under this name as things stand".into(), |number| plural(number, unit))
    }
}

/// All of them in one query, which is enough for most; one by one, where that takes too long.
async fn amounts(session: &mut Session, wanted: &[Wanted<'_>], limit: Duration) -> Result<Vec<String>, Stopped> {
    if let Some(numbers) = in_time(session, wanted, limit).await? {
        return Ok(wanted.iter().zip(numbers).map(|(wanted, number)| wanted.told(number)).collect());
    }
    let mut amounts = Vec::with_capacity(wanted.len());
    for one in wanted {
        let number = in_time(session, std::slice::from_ref(one), limit).await?;
        amounts.push(match number.as_deref() {
            Some([number]) => one.told(*number),
            _ => estimate(session, one.table).await?,
        });
    }
    Ok(amounts)
}

/// Their numbers, in the same order; nothing when the server refuses or does not get through in time.
async fn in_time(
    session: &mut Session,
    wanted: &[Wanted<'_>],
    limit: Duration,
) -> Result<Option<Vec<Option<u64>>>, Stopped> {
    session.begin_reading(limit).await?;
    let counted = exact(session, wanted).await;
    session.end_reading().await?;
    match counted {
        Err(Stopped::Failed(error)) if !is_connection_lost(&error) => Ok(None),
        counted => counted.map(Some),
    }
}

async fn exact(session: &mut Session, wanted: &[Wanted<'_>]) -> Result<Vec<Option<u64>>, Stopped> {
    let tables: Vec<&str> = wanted.iter().map(|wanted| wanted.table).collect();
    let columns: Vec<Option<&str>> = wanted.iter().map(|wanted| wanted.column).collect();
    // Resolved by the server, so that what is put into the query is a name and nothing else.
    let names = sqlx::query(
        "SELECT n.nspname::text, c.relname::text, \
                (SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped \
                   AND a.attnum > 0 AND (a.attname = w.col OR quote_ident(a.attname) = w.col)) \
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(tab, col, place) \
         LEFT JOIN pg_class c ON c.oid = to_regclass(w.tab) LEFT JOIN pg_namespace n ON n.oid = c.relnamespace \
         ORDER BY w.place",
    );
    let rows = session.fetch_bound(names.bind(tables).bind(columns)).await?;
    let counts: Vec<String> = rows
        .iter()
        .zip(wanted)
        .map(|(row, wanted)| {
            let names: (Option<String>, Option<String>, Option<String>) = (row.get(0), row.get(1), row.get(2));
            let counted = match (wanted.column, names.2) {
                (None, _) => Some("*".to_owned()),
                (Some(_), column) => column.as_deref().map(quote),
            };
            match (names.0, names.1, counted) {
                (Some(schema), Some(relation), Some(counted)) => {
                    format!("(SELECT count({counted}) FROM {}.{})", quote(&schema), quote(&relation))
                }
                _ => "NULL".to_owned(),
            }
        })
        .collect();
    let sql = format!("SELECT ARRAY[{}]::bigint[]", counts.join(", "));
    let rows = session.fetch_bound(sqlx::query(AssertSqlSafe(sql))).await?;
    let numbers: Vec<Option<i64>> = rows.first().map(|row| row.get(0)).unwrap_or_default();
    Ok(numbers.into_iter().map(|number| number.and_then(|number| u64::try_from(number).ok())).collect())
}

async fn estimate(session: &mut Session, table: &str) -> Result<String, Stopped> {
    let query = sqlx::query("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass($1)");
    let rows = session.fetch_bound(query.bind(table)).await?;
    let rows = rows.first().map_or(0, |row| u64::try_from(row.get::<i64, _>(0)).unwrap_or(0));
    Ok(format!("about {}; they could not be counted in time", plural(rows, "row")))
}
