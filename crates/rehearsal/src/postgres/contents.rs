//! What the tables hold: rows and a fingerprint that does not depend on their order.
//!
//! A table's fingerprint is the sum, modulo 2^128, of the XXH3-128 hashes of its rows as `COPY`
//! writes them. A sum and not an exclusive or: two equal rows would cancel each other out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use xxhash_rust::xxh3::xxh3_128;

use super::identifier::{qualified, quote};
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// Rows and fingerprint of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint {
    /// How many rows.
    pub rows: u64,
    /// The sum of the rows' hashes.
    pub sum: u128,
}

impl Fingerprint {
    /// Adds one row, without its line end.
    pub fn add(&mut self, line: &[u8]) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(xxh3_128(line));
    }
}

/// A table by schema and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Tables with their columns, in the order in which COPY writes them.
pub type Columns = BTreeMap<TableName, Vec<String>>;

/// Tables with what they hold.
pub type Contents = BTreeMap<TableName, Fingerprint>;

const TABLES: &str = "\
    SELECT n.nspname::text, c.relname::text, \
           ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
                 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
      AND ($1::text IS NULL OR (n.nspname <> $1 AND c.oid IS DISTINCT FROM to_regclass($2))) \
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
    ORDER BY 1, 2";

/// Begins to read tables in one snapshot. Whatever changes how a value is written is pinned: the same value
/// must give the same text.
pub(crate) const BEGIN: &str = "\
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres'; \
    SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL row_security = off; \
    SET LOCAL search_path = ''";

/// The user's tables: neither PostgreSQL's, nor an extension's, nor ours, nor sqlx's history.
///
/// # Errors
/// The server's.
pub async fn tables(session: &mut Session, history_table: &str) -> Result<Columns> {
    let ours = session.target().journal().schema.clone();
    list(session, Some(&ours), Some(history_table)).await
}

/// All tables that a dump holds, ours and sqlx's included.
///
/// # Errors
/// The server's.
pub async fn all_tables(session: &mut Session) -> Result<Columns> {
    list(session, None, None).await
}

async fn list(session: &mut Session, without_schema: Option<&str>, without_table: Option<&str>) -> Result<Columns> {
    let query = sqlx::query(TABLES).bind(without_schema).bind(without_table);
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("list the tables"))?;
    Ok(rows.iter().map(|row| (TableName { schema: row.get(0), name: row.get(1) }, row.get(2))).collect())
}

/// Reads the named columns of every wanted table, once, in one snapshot. A table that is gone is
/// left out; a column that is gone leaves its table out.
///
/// # Errors
/// The server's.
pub async fn read_all(session: &mut Session, wanted: &Columns) -> Result<Contents> {
    session.execute(BEGIN).await.map_err(Stopped::doing("begin to read the tables"))?;
    let present = all_tables(session).await?;
    let mut contents = Contents::new();
    for (table, columns) in wanted {
        let there = present.get(table).is_some_and(|there| columns.iter().all(|column| there.contains(column)));
        if !there {
            continue;
        }
        // Of the table and not of a query over it, which costs a fifth more; neither reads children.
        let list: Vec<String> = columns.iter().map(|column| quote(column)).collect();
        let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
        let copy = format!("COPY {}{list} TO STDOUT", qualified(&table.schema, &table.name));
        let mut lines = Lines::default();
        let feed = |chunk: &[u8]| {
            lines.feed(chunk);
            Ok(())
        };
        session.copy_out(&copy, feed).await.map_err(Stopped::doing(format!("read {table}")))?;
        contents.insert(table.clone(), lines.fingerprint);
    }
    session.execute("COMMIT").await.map_err(Stopped::doing("end reading the tables"))?;
    Ok(contents)
}

/// Cuts a stream of bytes into COPY's lines; a line end inside of a value is written as `\n`.
#[derive(Debug, Default)]
pub struct Lines {
    /// What has come so far.
    pub fingerprint: Fingerprint,
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if self.partial.is_empty() {
                self.fingerprint.add(&bytes[..end]);
            } else {
                self.partial.extend_from_slice(&bytes[..end]);
                self.fingerprint.add(&self.partial);
                self.partial.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fingerprint(chunks: &[&[u8]]) -> Fingerprint {
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk);
        }
        lines.fingerprint
    }

    #[test]
    fn equal_rows_do_not_cancel() {
        assert_ne!(fingerprint(&[b"a\na\n"]).sum, fingerprint(&[b""]).sum);
        assert_ne!(fingerprint(&[b"a\na\nb\n"]), fingerprint(&[b"b\nb\na\n"]));
    }

    proptest! {
        #[test]
        fn neither_order_nor_cuts_matter(mut rows in prop::collection::vec("[a-z]{0,9}", 0..20), cut in 0usize..200) {
            let text = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
            let cut = cut.min(text.len());
            let one = fingerprint(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]);
            rows.reverse();
            let other = rows.iter().map(|row| format!("{row}\n")).collect::<String>();
            prop_assert_eq!(one, fingerprint(&[other.as_bytes()]));
            prop_assert_eq!(one.rows, rows.len() as u64);
        }
    }
}
