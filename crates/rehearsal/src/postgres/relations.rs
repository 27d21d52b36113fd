//! What the catalog knows of relations that a plan is about: how big they are, and what hangs together.

use std::collections::HashMap;

use sqlx::Row;

use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// A table, with its partitions, or another relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    /// The planner's estimate of its rows; none where they were never counted.
    pub rows: Option<u64>,
    /// Its size when VACUUM or ANALYZE came by last, bytes.
    pub bytes: u64,
    /// The table that it is an index of.
    pub index_of: Option<String>,
    /// It has partitions, or is going to.
    pub partitioned: bool,
    /// The table that it is a partition of.
    pub partition_of: Option<String>,
    /// The types of its columns by their names, as `format_type` writes them.
    pub columns: HashMap<String, String>,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
}

/// A foreign key; names as the catalog has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that it refers to, as SQL would write it.
    pub refers_to: String,
}

// From the catalog alone: functions that ask for a size would wait for whoever holds the table.
const RELATIONS: &str = "\
    SELECT asked.name, \
           (SELECT CASE WHEN bool_and(part.reltuples >= 0) THEN sum(part.reltuples)::float8 END FROM pg_class part \
            WHERE part.relkind <> 'p' AND (part.oid = c.oid OR part.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))), \
           (SELECT coalesce(sum(part.relpages::bigint), 0)::bigint * current_setting('block_size')::bigint FROM pg_class part \
            WHERE part.oid = c.oid OR part.oid IN (SELECT relid FROM pg_partition_tree(c.oid))), \
           (SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = c.oid), \
           (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid AND c.relispartition), \
           c.relkind = 'p' \
    FROM unnest($1::text[]) AS asked(name) JOIN pg_class c ON c.oid = to_regclass(asked.name)";

const COLUMNS: &str = "\
    SELECT asked.name, a.attname::text, format_type(a.atttypid, a.atttypmod) \
    FROM unnest($1::text[]) AS asked(name) JOIN pg_attribute a ON a.attrelid = to_regclass(asked.name) \
    WHERE a.attnum > 0 AND NOT a.attisdropped";

const FOREIGN_KEYS: &str = "\
    SELECT asked.name, k.conname::text, k.confrelid::regclass::text, \
           ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) \
    FROM unnest($1::text[]) AS asked(name) JOIN pg_constraint k ON k.conrelid = to_regclass(asked.name) AND k.contype = 'f' \
    ORDER BY 1, 2";

/// Looks relations up by their names as written in SQL. What is not there is left out.
///
/// # Errors
/// The server's; a name that is none.
pub async fn look(session: &mut Session, names: &[String]) -> Result<HashMap<String, Relation>> {
    let doing = || Stopped::doing("look at the tables of the plan");
    let mut found = HashMap::new();
    for row in session.fetch_bound(sqlx::query(RELATIONS).bind(names)).await.map_err(doing())? {
        let tuples: Option<f64> = row.get(1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never below zero")]
        let rows = tuples.filter(|tuples| *tuples >= 0.0).map(|tuples| tuples as u64);
        let bytes = u64::try_from(row.get::<i64, _>(2)).unwrap_or_default();
        let relation = Relation {
            // Before 14, and in a file of no page, nobody has counted.
            rows: rows.filter(|rows| *rows > 0 || bytes == 0),
            bytes,
            index_of: row.get(3),
            partition_of: row.get(4),
            partitioned: row.get(5),
            columns: HashMap::new(),
            foreign_keys: Vec::new(),
        };
        found.insert(row.get::<String, _>(0), relation);
    }
    for row in session.fetch_bound(sqlx::query(COLUMNS).bind(names)).await.map_err(doing())? {
        if let Some(relation) = found.get_mut(row.get::<&str, _>(0)) {
            relation.columns.insert(row.get(1), row.get(2));
        }
    }
    for row in session.fetch_bound(sqlx::query(FOREIGN_KEYS).bind(names)).await.map_err(doing())? {
        if let Some(relation) = found.get_mut(row.get::<&str, _>(0)) {
            let key = ForeignKey { name: row.get(1), refers_to: row.get(2), columns: row.get(3) };
            relation.foreign_keys.push(key);
        }
    }
    Ok(found)
}
