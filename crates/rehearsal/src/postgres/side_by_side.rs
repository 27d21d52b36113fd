//! What tables hold, read over several connections in one snapshot, the largest first and in pieces.
//!
//! A fingerprint is a sum, so it does not matter who adds which rows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::Row;
use tokio::task::JoinSet;

use super::contents::{self, Columns, Contents, Fingerprint, Lines, TableName};
use super::identifier::{literal, qualified, quote};
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// The first major that reads a range of a table's pages without reading the others.
const FIRST_WITH_RANGES: u32 = 14;

/// A piece is at least so much of a table: a query costs a fifth more than the table as it is, which only pays
/// where others would be idle meanwhile.
const PIECE_BYTES: u64 = 16 << 20;

/// So many pieces for each connection are even enough.
const PIECES_EACH: u64 = 4;

const SIZES: &str = "\
    SELECT n.nspname::text, c.relname::text, pg_table_size(c.oid), \
           pg_relation_size(c.oid) / current_setting('block_size')::bigint \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'";

/// Some rows of a table, or all of them.
struct Piece {
    table: TableName,
    copy: String,
}

/// What the connections share.
#[derive(Default)]
struct Shared {
    left: VecDeque<Piece>,
    /// With the pieces that are still to come.
    found: BTreeMap<TableName, (Fingerprint, u64)>,
}

impl Shared {
    fn add(&mut self, table: &TableName, read: Fingerprint) {
        let Some((sum, left)) = self.found.get_mut(table) else { return };
        sum.rows += read.rows;
        sum.sum = sum.sum.wrapping_add(read.sum);
        *left -= 1;
    }

    fn done(&self) -> u64 {
        self.found.values().filter(|(_, left)| *left == 0).count() as u64
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`contents::read_each`], over that session and `jobs - 1` more of its kind.
///
/// # Errors
/// The server's.
pub async fn read(
    session: &mut Session,
    wanted: &Columns,
    jobs: usize,
    purpose: &str,
    told: impl Fn(u64) + Send,
) -> Result<Contents> {
    if jobs <= 1 {
        return contents::read_each(session, wanted, told).await;
    }
    let doing = || Stopped::doing("begin to read the tables");
    let begin = format!("{}; {}", contents::BEGIN, contents::AS_STORED);
    session.execute(&begin).await.map_err(doing())?;
    let rows = session.fetch_text("SELECT pg_export_snapshot()", 1).await.map_err(doing())?;
    let snapshot = rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0)).unwrap_or_default();
    let shared = Arc::new(Mutex::new(pieces(session, wanted, jobs).await?));
    let more = lock(&shared).left.len().min(jobs).saturating_sub(1);
    let mut others = JoinSet::new();
    for _ in 0..more {
        let (target, cancel) = (session.shared_target(), session.cancellation().clone());
        let (shared, purpose) = (Arc::clone(&shared), purpose.to_owned());
        // Of all that is asked the snapshot comes first.
        let snapshot = literal(&snapshot);
        let begin = format!("{}; SET TRANSACTION SNAPSHOT {snapshot}; {}", contents::BEGIN, contents::AS_STORED);
        others.spawn(async move {
            let mut session = Session::connect(&target, &purpose, &cancel).await?;
            session.execute(&begin).await.map_err(Stopped::doing("begin to read the tables"))?;
            read_left(&mut session, &shared, |_| {}).await?;
            session.close().await;
            Ok(())
        });
    }
    read_left(session, &shared, told).await?;
    while let Some(ended) = others.join_next().await {
        // One that panics has added nothing: what it had taken would be missing.
        ended.unwrap_or_else(|error| {
            Err(Stopped::doing("read the tables")(Stopped::Failed(sqlx::Error::Io(error.into()))))
        })?;
    }
    session.execute("COMMIT").await.map_err(Stopped::doing("end reading the tables"))?;
    let found = std::mem::take(&mut lock(&shared).found);
    Ok(found.into_iter().map(|(table, (read, _))| (table, read)).collect())
}

async fn read_left(session: &mut Session, shared: &Mutex<Shared>, told: impl Fn(u64) + Send) -> Result<()> {
    loop {
        let next = lock(shared).left.pop_front();
        let Some(Piece { table, copy }) = next else { return Ok(()) };
        let mut lines = Lines::default();
        let feed = |chunk: &[u8]| {
            lines.feed(chunk);
            Ok(())
        };
        session.copy_out(&copy, feed).await.map_err(Stopped::doing(format!("read {table}")))?;
        let done = {
            let mut shared = lock(shared);
            shared.add(&table, lines.fingerprint);
            shared.done()
        };
        told(done);
    }
}

/// What there is to read, the largest table first.
async fn pieces(session: &mut Session, wanted: &Columns, jobs: usize) -> Result<Shared> {
    let rows = session.fetch_bound(sqlx::query(SIZES)).await.map_err(Stopped::doing("look at the tables' sizes"))?;
    let size = |value: i64| u64::try_from(value).unwrap_or_default();
    let sizes: BTreeMap<TableName, (u64, u64)> = rows
        .iter()
        .map(|row| (TableName { schema: row.get(0), name: row.get(1) }, (size(row.get(2)), size(row.get(3)))))
        .collect();
    let present = contents::present(session, wanted).await?;
    let size_of = |table: &TableName| sizes.get(table).copied().unwrap_or_default();
    let all: u64 = present.iter().map(|(table, _)| size_of(table).0).sum();
    let piece = (all / (jobs as u64 * PIECES_EACH)).max(PIECE_BYTES);
    let has_ranges = session.version().major >= FIRST_WITH_RANGES;
    let mut tables: Vec<_> = present.into_iter().map(|(table, reading)| (size_of(table), table, reading)).collect();
    tables.sort_by_key(|((bytes, _), table, _)| (std::cmp::Reverse(*bytes), (*table).clone()));
    let mut shared = Shared::default();
    for ((bytes, pages), table, reading) in tables {
        let has_ranges = has_ranges && reading.is_whole_table;
        let number = if has_ranges { bytes.div_ceil(piece).min(pages).max(1) } else { 1 };
        let copies = match wanted.get(table) {
            Some(columns) if number > 1 => in_ranges(table, columns, pages, number),
            _ => reading.copies,
        };
        shared.found.insert(table.clone(), (Fingerprint::default(), copies.len() as u64));
        shared.left.extend(copies.into_iter().map(|copy| Piece { table: table.clone(), copy }));
    }
    Ok(shared)
}

/// Ranges of pages; what has come behind the last one belongs to the last range.
fn in_ranges(table: &TableName, columns: &[String], pages: u64, number: u64) -> Vec<String> {
    let list: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    let (list, name) = (list.join(", "), qualified(&table.schema, &table.name));
    let tid = |piece: u64| literal(&format!("({},0)", pages * piece / number));
    (0..number)
        .map(|piece| {
            let from = format!("ctid >= {}::pg_catalog.tid", tid(piece));
            let to = if piece + 1 < number {
                format!(" AND ctid < {}::pg_catalog.tid", tid(piece + 1))
            } else {
                String::new()
            };
            format!("COPY (SELECT {list} FROM ONLY {name} WHERE {from}{to}) TO STDOUT")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_nothing_out() {
        let table = TableName { schema: "s".into(), name: "t".into() };
        assert_eq!(
            in_ranges(&table, &["a".into(), "b \"c\"".into()], 7, 3),
            [
                "COPY (SELECT \"a\", \"b \"\"c\"\"\" FROM ONLY \"s\".\"t\" WHERE ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(2,0)'::pg_catalog.tid) TO STDOUT",
                "COPY (SELECT \"a\", \"b \"\"c\"\"\" FROM ONLY \"s\".\"t\" WHERE ctid >= '(2,0)'::pg_catalog.tid AND ctid < '(4,0)'::pg_catalog.tid) TO STDOUT",
                "COPY (SELECT \"a\", \"b \"\"c\"\"\" FROM ONLY \"s\".\"t\" WHERE ctid >= '(4,0)'::pg_catalog.tid) TO STDOUT",
            ]
        );
    }
}
