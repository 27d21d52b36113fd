//! Compares what was there before with what the restored copy holds. Only digests leave the servers.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::catalog::{ForeignKey, Kind};
use super::coverage::{Change, Plan};
use super::rule::Rule;
use crate::error::Result;
use crate::postgres::contents::TableName;
use crate::postgres::identifier::{qualified, quote};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;

/// How many digests are asked for at once.
const BATCH: usize = 10_000;

/// Columns with pseudonyms in which an old value is still there, and how many.
pub(super) async fn of_values(plan: &Plan, before: &mut Session, after: &mut Session) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for planned in &plan.tables {
        for change in planned.changes.iter().filter(|change| is_one_of_many(change)) {
            let column = change.column.sql();
            let query = format!(
                "SELECT DISTINCT encode(sha256(convert_to({column}::text, 'UTF8')), 'hex') COLLATE \"C\" FROM ONLY {} \
                 WHERE {column}::text <> '' ORDER BY 1",
                planned.table.sql()
            );
            let common = common(&query, before, after).await?;
            if common > 0 {
                found.push(format!("{common} old values of {}.{}", planned.table.name, change.column.name));
            }
        }
    }
    Ok(found)
}

/// New values are so many that none can be an old one by chance.
fn is_one_of_many(change: &Change) -> bool {
    match change.rule {
        Rule::PseudonymEmail => true,
        Rule::Pseudonym => {
            !matches!(change.column.kind, Kind::Integer(_) | Kind::Inet) && change.column.length.is_none()
        }
        _ => false,
    }
}

/// How many values two ordered lists have in common; neither is held as a whole.
async fn common(query: &str, before: &mut Session, after: &mut Session) -> Result<u64> {
    let mut left = Cursor::open(query, before).await?;
    let mut right = Cursor::open(query, after).await?;
    let (mut one, mut other) = (left.next().await?, right.next().await?);
    let mut common = 0;
    while let (Some(a), Some(b)) = (&one, &other) {
        let order = a.cmp(b);
        if order == Ordering::Equal {
            common += 1;
        }
        if order != Ordering::Greater {
            one = left.next().await?;
        }
        if order != Ordering::Less {
            other = right.next().await?;
        }
    }
    left.close().await?;
    right.close().await?;
    Ok(common)
}

/// A query whose rows are fetched as they are needed.
struct Cursor<'a> {
    session: &'a mut Session,
    rows: VecDeque<String>,
    at_end: bool,
}

impl<'a> Cursor<'a> {
    async fn open(query: &str, session: &'a mut Session) -> Result<Self> {
        let sql = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = 0; SET LOCAL row_security = off; DECLARE digests CURSOR FOR {query}"
        );
        session.execute(&sql).await.map_err(doing())?;
        Ok(Self { session, rows: VecDeque::new(), at_end: false })
    }

    async fn next(&mut self) -> Result<Option<String>> {
        if self.rows.is_empty() && !self.at_end {
            let rows = self.session.fetch_text(&format!("FETCH {BATCH} FROM digests"), BATCH).await.map_err(doing())?;
            self.at_end = rows.total < BATCH;
            self.rows = rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect();
        }
        Ok(self.rows.pop_front())
    }

    async fn close(self) -> Result<()> {
        self.session.execute("COMMIT").await.map(drop).map_err(doing())
    }
}

fn doing() -> impl FnOnce(Stopped) -> crate::Error {
    Stopped::doing("compare the copy with what it was made from")
}

/// Foreign keys by which more rows lead nowhere than before. One that was never validated may have some.
pub(super) async fn of_references(plan: &Plan, before: &mut Session, after: &mut Session) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for key in &plan.foreign_keys {
        let query = dangling(key);
        let (was, is) = (count(before, &query).await?, count(after, &query).await?);
        if is > was {
            found.push(format!("{is} rows of {} that refer to nothing by {}", key.child, key.name));
        }
    }
    Ok(found)
}

fn dangling(key: &ForeignKey) -> String {
    let table = |name: &TableName, partitioned: bool| {
        format!("{}{}", if partitioned { "" } else { "ONLY " }, qualified(&name.schema, &name.name))
    };
    let matched: Vec<String> = key
        .child_columns
        .iter()
        .zip(&key.parent_columns)
        .map(|(child, parent)| format!("p.{} = c.{}", quote(parent), quote(child)))
        .collect();
    let given: Vec<String> =
        key.child_columns.iter().map(|column| format!("c.{} IS NOT NULL", quote(column))).collect();
    format!(
        "SELECT count(*) FROM {} c WHERE {} AND NOT EXISTS (SELECT FROM {} p WHERE {})",
        table(&key.child, key.child_is_partitioned),
        given.join(" AND "),
        table(&key.parent, key.parent_is_partitioned),
        matched.join(" AND ")
    )
}

async fn count(session: &mut Session, query: &str) -> Result<i64> {
    let rows = session.fetch_text(query, 1).await.map_err(Stopped::doing("follow the foreign keys"))?;
    let count = rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0));
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
}

const UNIQUE: &str = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE i.indisunique AND i.indisvalid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// A unique index that was built and is valid has looked at every row: each that was there must be.
pub(super) async fn of_uniqueness(before: &mut Session, after: &mut Session) -> Result<Vec<String>> {
    let (was, is) = (count(before, UNIQUE).await?, count(after, UNIQUE).await?);
    Ok(if is < was { vec![format!("{} unique indexes fewer than before", was - is)] } else { Vec::new() })
}
