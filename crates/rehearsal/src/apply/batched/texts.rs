//! A batched statement with its marker replaced by each of the ranges that it takes, and the questions
//! for their bounds.

use crate::postgres::catalog::KeyColumn;
use crate::statement::{Batch, Statement};

/// The statement with its marker replaced.
pub(super) struct Replaced {
    pub sql: String,
    /// What stands in the place of the marker.
    pub by: String,
}

/// See the module. Keys travel as text: whatever their type, it is cast to it.
pub(super) struct Texts {
    /// From the beginning to $1.
    pub first: Replaced,
    /// After $1 up to $2.
    pub between: Replaced,
    /// Rows without a key.
    pub without_key: Replaced,
    /// The end of the next range: after $1 (from the beginning when NULL), at most $2, behind $3 rows.
    /// Nothing when there are no more than $3.
    pub next_bound: String,
    /// The end of the last range: the highest key after $1, at most $2.
    pub last_bound: String,
    /// The highest key.
    pub highest: String,
}

impl Texts {
    pub(super) fn new(statement: &Statement, batch: &Batch, key: &KeyColumn) -> Self {
        let Batch { table, qualifier, key: column, marker, .. } = batch;
        let type_name = &key.type_name;
        let qualified = format!("{table}.{column}");
        // In the statement itself the table may have another name.
        let called = format!("{qualifier}.{column}");
        let with = |by: String| {
            let mut sql = statement.sql.clone();
            sql.replace_range(marker.clone(), &by);
            Replaced { sql: sql.trim_end().trim_end_matches(';').to_owned(), by }
        };
        let range = format!(
            "SELECT {qualified} AS k FROM {table} \
             WHERE ($1::text IS NULL OR {qualified} > $1::text::{type_name}) AND {qualified} <= $2::text::{type_name}"
        );
        // Turned into text outside of the ordered part: an ORDER BY beside that would sort the text,
        // where 9 comes after 10. Times by to_json, which gives ISO 8601 whatever DateStyle says, so
        // that they can be read back.
        let as_text = if key.is_time { "to_json(k) #>> '{}'" } else { "k::text" };
        Self {
            first: with(format!("({called} <= $1::text::{type_name})")),
            between: with(format!("({called} > $1::text::{type_name} AND {called} <= $2::text::{type_name})")),
            without_key: with(format!("({called} IS NULL)")),
            next_bound: format!("SELECT {as_text} FROM ({range} ORDER BY {qualified} OFFSET $3 LIMIT 1) batch"),
            last_bound: format!("SELECT {as_text} FROM ({range} ORDER BY {qualified} DESC LIMIT 1) batch"),
            // Not max(): there is none for uuid before PostgreSQL 18.
            highest: format!(
                "SELECT {as_text} FROM (SELECT {qualified} AS k FROM {table} \
                 WHERE {qualified} IS NOT NULL ORDER BY {qualified} DESC LIMIT 1) highest"
            ),
        }
    }
}
