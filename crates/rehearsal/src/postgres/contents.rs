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

    /// Adds all rows of another one.
    pub fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
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

/// An enum's value hashes by its oid, which is another one in every database. So pg_dump loads what is partitioned
/// by such a hash through the partitioned table (getPartitioningInfo in pg_dump.c), and rows come to lie in other
/// partitions. Of an extension's tables it dumps those that the extension has registered, as far as their condition
/// says; extensions below 16384 (FirstNormalObjectId in src/include/access/transam.h) are initdb's.
const RELATIONS: &str = "\
    WITH moving AS ( \
        SELECT p.partrelid FROM pg_partitioned_table p \
        WHERE p.partstrat = 'h' AND EXISTS ( \
            SELECT FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod \
            WHERE o.oid = ANY (p.partclass) AND o.opcname = 'enum_ops' \
              AND o.opcnamespace = 'pg_catalog'::regnamespace AND a.amname = 'hash') \
    ) \
    SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind = 'p', \
           ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
                 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum), \
           EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'), \
           (SELECT coalesce(u.condition, '') FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS u(relid, condition) \
            WHERE u.relid = c.oid AND e.oid >= 16384 LIMIT 1), \
           whole.schema, whole.name, \
           coalesce(n.nspname = $1 OR c.oid = to_regclass($2), false) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN LATERAL ( \
        SELECT wn.nspname::text AS schema, w.relname::text AS name \
        FROM pg_partition_ancestors(c.oid) WITH ORDINALITY AS up(relid, distance) \
        JOIN moving m ON m.partrelid = up.relid \
        JOIN pg_class w ON w.oid = up.relid JOIN pg_namespace wn ON wn.oid = w.relnamespace \
        WHERE c.relispartition OR c.relkind = 'p' ORDER BY up.distance DESC LIMIT 1 \
    ) AS whole ON true \
    WHERE (c.relkind = 'r' OR c.oid IN (SELECT partrelid FROM moving)) AND c.relpersistence <> 't' \
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    ORDER BY 2, 3";

/// A table, or a partitioned table whose rows may come to lie in other partitions.
struct Relation {
    oid: i64,
    name: TableName,
    is_partitioned: bool,
    columns: Vec<String>,
    of_extension: bool,
    /// Which rows of an extension's table are dumped, as SQL; empty is all of them.
    condition: Option<String>,
    /// The partitioned table in which its rows may move.
    whole: Option<TableName>,
    /// In our own schema, or the history.
    ours: bool,
}

impl Relation {
    /// It has rows of its own, and pg_dump takes them.
    fn is_dumped(&self) -> bool {
        !self.is_partitioned && (!self.of_extension || self.condition.is_some())
    }

    /// As SQL writes it.
    fn sql(&self) -> String {
        qualified(&self.name.schema, &self.name.name)
    }
}

/// Whatever changes how a value is written is pinned: the same value must give the same text.
macro_rules! pinned {
    () => {
        "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres'; \
         SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL row_security = off; \
         SET LOCAL search_path = ''"
    };
}

/// Begins to read tables in one snapshot.
pub(crate) const BEGIN: &str =
    concat!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; ", pinned!());

/// The same for a transaction that is there.
const PINNED: &str = pinned!();

/// The user's tables: neither PostgreSQL's, nor an extension's, nor ours, nor sqlx's history.
///
/// # Errors
/// The server's.
pub async fn tables(session: &mut Session, history_table: &str) -> Result<Columns> {
    let relations = relations(session, Some(history_table)).await?.into_iter();
    let users = relations.filter(|table| !table.is_partitioned && !table.of_extension && !table.ours);
    Ok(users.map(|table| (table.name, table.columns)).collect())
}

/// What a dump holds.
#[derive(Debug, Clone, Default)]
pub struct Dumped {
    /// The tables. Partitions between which rows may move are one, by the name of their partitioned table.
    pub tables: Columns,
    /// Which of them the rows of a table are compared with, by the table's oid.
    pub units: BTreeMap<i64, TableName>,
}

/// Lists what a dump holds, ours, sqlx's and what extensions have dumped included.
///
/// # Errors
/// The server's.
pub async fn dumped(session: &mut Session) -> Result<Dumped> {
    Ok(units(&relations(session, None).await?))
}

/// The same without ours and sqlx's.
///
/// # Errors
/// The server's.
pub async fn dumped_of_user(session: &mut Session, history_table: &str) -> Result<Columns> {
    let mut relations = relations(session, Some(history_table)).await?;
    relations.retain(|table| !table.ours);
    Ok(units(&relations).tables)
}

/// The tables of [`dumped`].
///
/// # Errors
/// The server's.
pub async fn all_tables(session: &mut Session) -> Result<Columns> {
    dumped(session).await.map(|dumped| dumped.tables)
}

fn units(relations: &[Relation]) -> Dumped {
    let columns: BTreeMap<_, _> = relations.iter().map(|table| (&table.name, &table.columns)).collect();
    let mut dumped = Dumped::default();
    for table in relations.iter().filter(|table| table.is_dumped()) {
        let unit = table.whole.as_ref().unwrap_or(&table.name);
        let columns = columns.get(unit).map_or(&table.columns, |columns| *columns);
        dumped.tables.entry(unit.clone()).or_insert_with(|| columns.clone());
        dumped.units.insert(table.oid, unit.clone());
    }
    dumped
}

async fn relations(session: &mut Session, history_table: Option<&str>) -> Result<Vec<Relation>> {
    let ours = history_table.map(|_| session.target().journal().schema.clone());
    let query = sqlx::query(RELATIONS).bind(ours).bind(history_table);
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("list the tables"))?;
    let relation = |row: &sqlx::postgres::PgRow| {
        let whole: (Option<String>, Option<String>) = (row.get(7), row.get(8));
        Relation {
            oid: row.get(0),
            name: TableName { schema: row.get(1), name: row.get(2) },
            is_partitioned: row.get(3),
            columns: row.get(4),
            of_extension: row.get(5),
            condition: row.get(6),
            whole: whole.0.zip(whole.1).map(|(schema, name)| TableName { schema, name }),
            ours: row.get(9),
        }
    };
    Ok(rows.iter().map(relation).collect())
}

/// The bytes as they are: where the database knows no encoding, none can be asked for.
pub(crate) const AS_STORED: &str = "\
    SELECT set_config('client_encoding', 'SQL_ASCII', true) WHERE current_setting('server_encoding') = 'SQL_ASCII'";

/// The statements that read a table: several where partitions are compared as one.
pub(crate) struct Reading {
    /// `COPY … TO STDOUT`
    pub(super) copies: Vec<String>,
    counts: Vec<String>,
    /// It is one table, all of whose rows are read.
    pub(super) is_whole_table: bool,
    /// Of an extension's table: what the extension has registered.
    pub(crate) of_extension: bool,
}

impl Reading {
    fn of(parts: &[&Relation], columns: &[String]) -> Self {
        let list: Vec<String> = columns.iter().map(|column| quote(column)).collect();
        let list = list.join(", ");
        let copy = |part: &&Relation| match &part.condition {
            Some(condition) => format!("COPY (SELECT {list} FROM {} {condition}) TO STDOUT", part.sql()),
            // Of the table and not of a query over it, which costs a fifth more; neither reads children.
            None if list.is_empty() => format!("COPY {} TO STDOUT", part.sql()),
            None => format!("COPY {} ({list}) TO STDOUT", part.sql()),
        };
        let count = |part: &&Relation| match &part.condition {
            Some(condition) => format!("SELECT count(*)::text FROM {} {condition}", part.sql()),
            None => format!("SELECT count(*)::text FROM ONLY {}", part.sql()),
        };
        let of_extension = parts.iter().any(|part| part.of_extension);
        let is_whole_table = parts.len() == 1 && parts.iter().all(|part| part.condition.is_none());
        let (copies, counts) = (parts.iter().map(copy).collect(), parts.iter().map(count).collect());
        Self { copies, counts, is_whole_table, of_extension }
    }

    /// Reads the rows. A transaction with the settings of [`BEGIN`] and [`AS_STORED`] is open.
    pub(crate) async fn fingerprint(&self, session: &mut Session) -> Result<Fingerprint, Stopped> {
        let mut all = Fingerprint::default();
        for copy in &self.copies {
            let mut lines = Lines::default();
            let feed = |chunk: &[u8]| {
                lines.feed(chunk);
                Ok(())
            };
            session.copy_out(copy, feed).await?;
            all.join(lines.fingerprint);
        }
        Ok(all)
    }

    /// Counts the rows.
    pub(crate) async fn count(&self, session: &mut Session) -> Result<u64, Stopped> {
        let mut all = 0;
        for count in &self.counts {
            let rows = session.fetch_text(count, 1).await?;
            let rows = rows.rows.first().and_then(|row| row.first()?.as_deref()?.parse::<u64>().ok());
            all += rows.unwrap_or_default();
        }
        Ok(all)
    }
}

/// Reads the named columns of every wanted table, once, in one snapshot. A table that is gone is
/// left out; a column that is gone leaves its table out.
///
/// # Errors
/// The server's.
pub async fn read_all(session: &mut Session, wanted: &Columns) -> Result<Contents> {
    read_each(session, wanted, |_| {}).await
}

/// The same, and `told` hears how many tables are done.
///
/// # Errors
/// The server's.
pub async fn read_each(session: &mut Session, wanted: &Columns, told: impl Fn(u64) + Send) -> Result<Contents> {
    session.execute(BEGIN).await.map_err(Stopped::doing("begin to read the tables"))?;
    let contents = read_here(session, wanted, told).await?;
    session.execute("COMMIT").await.map_err(Stopped::doing("end reading the tables"))?;
    Ok(contents)
}

/// The same within the transaction that the session is in, as it stands there.
///
/// # Errors
/// The server's.
pub(crate) async fn read_within(session: &mut Session, wanted: &Columns) -> Result<Contents> {
    session.execute(PINNED).await.map_err(Stopped::doing("begin to read the tables"))?;
    read_here(session, wanted, |_| {}).await
}

async fn read_here(session: &mut Session, wanted: &Columns, told: impl Fn(u64) + Send) -> Result<Contents> {
    session.execute(AS_STORED).await.map_err(Stopped::doing("begin to read the tables"))?;
    let mut contents = Contents::new();
    for (index, (table, reading)) in present(session, wanted).await?.into_iter().enumerate() {
        let found = reading.fingerprint(session).await.map_err(Stopped::doing(format!("read {table}")))?;
        contents.insert(table.clone(), found);
        told(index as u64 + 1);
    }
    Ok(contents)
}

/// Counts the rows of every wanted table that is there with its columns, in one snapshot.
///
/// # Errors
/// The server's.
pub async fn count_each(
    session: &mut Session,
    wanted: &Columns,
    told: impl Fn(u64) + Send,
) -> Result<BTreeMap<TableName, u64>> {
    session.execute(BEGIN).await.map_err(Stopped::doing("begin to count the rows"))?;
    let mut counts = BTreeMap::new();
    for (index, (table, reading)) in present(session, wanted).await?.into_iter().enumerate() {
        let count = reading.count(session).await.map_err(Stopped::doing(format!("count {table}")))?;
        counts.insert(table.clone(), count);
        told(index as u64 + 1);
    }
    session.execute("COMMIT").await.map_err(Stopped::doing("end counting the rows"))?;
    Ok(counts)
}

/// The wanted tables that are there with all their wanted columns, and how they are read.
pub(crate) async fn present<'a>(session: &mut Session, wanted: &'a Columns) -> Result<Vec<(&'a TableName, Reading)>> {
    let relations = relations(session, None).await?;
    let by_name: BTreeMap<_, _> = relations.iter().map(|table| (&table.name, table)).collect();
    let reading = |(table, columns): (&'a TableName, &'a Vec<String>)| {
        let there = by_name.get(table).filter(|there| columns.iter().all(|column| there.columns.contains(column)))?;
        let parts: Vec<&Relation> = if there.is_partitioned {
            let is_part = |part: &&Relation| part.is_dumped() && part.whole.as_ref() == Some(table);
            relations.iter().filter(is_part).collect()
        } else {
            vec![there]
        };
        Some((table, Reading::of(&parts, columns)))
    };
    Ok(wanted.iter().filter_map(reading).collect())
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
    pub fn feed(&mut self, bytes: &[u8]) {
        let Self { fingerprint, partial } = self;
        each_line(partial, bytes, |line| fingerprint.add(line));
    }

    /// Whether the last line that has come has ended.
    #[must_use]
    pub fn at_line_start(&self) -> bool {
        self.partial.is_empty()
    }
}

/// Calls `line` with every line that ends in these bytes, without its end. What is behind the last one is
/// kept in `partial` for the next time.
pub(crate) fn each_line(partial: &mut Vec<u8>, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
    while let Some(end) = memchr::memchr(b'\n', bytes) {
        if partial.is_empty() {
            line(&bytes[..end]);
        } else {
            partial.extend_from_slice(&bytes[..end]);
            line(partial);
            partial.clear();
        }
        bytes = &bytes[end + 1..];
    }
    partial.extend_from_slice(bytes);
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
