//! Which file holds which table. TRUNCATE and an ALTER TABLE that rewrites give a table a new one, and an
//! older snapshot then sees the table as empty
//! (<https://www.postgresql.org/docs/current/mvcc-caveats.html>).

use std::collections::BTreeMap;

use sqlx::Row;

use super::contents::TableName;
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// Tables by their oid: name, and number of their file.
pub type Files = BTreeMap<i64, (TableName, i64)>;

const FILES: &str = "\
    SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relfilenode::bigint \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Looks at them as the session's snapshot sees the catalog.
///
/// # Errors
/// The server's.
pub async fn read(session: &mut Session) -> Result<Files> {
    let rows = session.fetch_bound(sqlx::query(FILES)).await.map_err(Stopped::doing("look at the tables' files"))?;
    let file =
        |row: &sqlx::postgres::PgRow| (row.get(0), (TableName { schema: row.get(1), name: row.get(2) }, row.get(3)));
    Ok(rows.iter().map(file).collect())
}

/// The tables of `before` that have another file by now.
pub fn rewritten<'a>(before: &'a Files, now: &'a Files) -> impl Iterator<Item = &'a TableName> {
    before.iter().filter_map(|(oid, (name, file))| {
        let (_, other) = now.get(oid)?;
        (other != file).then_some(name)
    })
}
