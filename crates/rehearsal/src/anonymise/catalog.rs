//! What rules have to know of a database: its columns with their types and duties, and its foreign keys.

use std::collections::BTreeMap;

use sqlx::Row;

use super::own_tables;
use crate::error::Result;
use crate::postgres::contents::TableName;
use crate::postgres::identifier::{qualified, quote};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;

/// What is known of a database.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    /// Every table with rows of its own, partitions one by one.
    pub tables: Vec<Table>,
    pub foreign_keys: Vec<ForeignKey>,
}

/// A table with rows of its own.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub name: TableName,
    /// The partitioned table that it is a part of: rules are written for that one.
    pub root: Option<TableName>,
    /// In the order of the table.
    pub columns: Vec<Column>,
}

impl Table {
    /// The name that rules are written for.
    pub fn known_as(&self) -> &TableName {
        self.root.as_ref().unwrap_or(&self.name)
    }

    /// As SQL writes it.
    pub fn sql(&self) -> String {
        qualified(&self.name.schema, &self.name.name)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub name: String,
    /// As a cast writes it.
    pub type_name: String,
    pub kind: Kind,
    /// How many characters fit, where that is limited.
    pub length: Option<u32>,
    pub not_null: bool,
    pub generated: bool,
    /// Of a primary or a foreign key, or referenced by one.
    pub key: bool,
    /// Of a unique index.
    pub unique: bool,
    /// Decides in which partition a row is.
    pub partition_key: bool,
}

impl Column {
    /// As SQL writes it.
    pub fn sql(&self) -> String {
        quote(&self.name)
    }
}

/// What a type is to a rule; of a domain, the type below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// citext: capitals make no difference.
    FoldedText,
    /// Whole numbers of twice this many bits, the sign's included.
    Integer(u8),
    Numeric,
    Uuid,
    Date,
    Timestamp,
    Json,
    Jsonb,
    Bytes,
    Inet,
    Array,
    Other,
}

impl Kind {
    fn of(name: &str, is_array: bool) -> Self {
        match name {
            _ if is_array => Self::Array,
            "text" | "varchar" | "bpchar" => Self::Text,
            "citext" => Self::FoldedText,
            "int2" => Self::Integer(8),
            "int4" => Self::Integer(16),
            "int8" => Self::Integer(32),
            "numeric" => Self::Numeric,
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "timestamp" | "timestamptz" => Self::Timestamp,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytes,
            "inet" => Self::Inet,
            _ => Self::Other,
        }
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::FoldedText)
    }
}

/// Columns that refer to other ones.
#[derive(Debug, Clone)]
pub(super) struct ForeignKey {
    pub name: String,
    pub child: TableName,
    pub child_columns: Vec<String>,
    pub parent: TableName,
    pub parent_columns: Vec<String>,
    /// The child goes with its parent (`ON DELETE CASCADE`).
    pub owned: bool,
    /// The child always has a parent.
    pub required: bool,
    /// Child and parent are partitioned: their rows are in other tables.
    pub child_is_partitioned: bool,
    pub parent_is_partitioned: bool,
}

/// Extensions' tables come with their extension, but for those whose rows a dump carries (`pg_extension_config_dump`).
const COLUMNS: &str = "\
    WITH RECURSIVE base AS ( \
        SELECT oid AS of, oid, typtype, typbasetype, typtypmod, typnotnull FROM pg_type \
        UNION ALL \
        SELECT base.of, t.oid, t.typtype, t.typbasetype, \
               CASE WHEN t.typtype = 'd' AND base.typtypmod < 0 THEN t.typtypmod ELSE base.typtypmod END, \
               base.typnotnull OR t.typnotnull \
        FROM base JOIN pg_type t ON t.oid = base.typbasetype WHERE base.typtype = 'd' \
    ) \
    SELECT n.nspname::text, c.relname::text, rn.nspname::text, r.relname::text, a.attname::text, \
           format_type(a.atttypid, a.atttypmod), bt.typname::text, bt.typcategory = 'A', \
           CASE WHEN bt.typname IN ('varchar', 'bpchar') \
                THEN nullif(greatest(a.atttypmod, base.typtypmod, 4) - 4, 0) END, \
           a.attnotnull OR base.typnotnull, a.attgenerated <> '', \
           EXISTS (SELECT FROM pg_constraint k WHERE k.contype IN ('p', 'f') \
                   AND (k.conrelid = c.oid AND a.attnum = ANY (k.conkey) \
                        OR k.confrelid = c.oid AND a.attnum = ANY (k.confkey))), \
           EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey)), \
           coalesce((SELECT bool_or(pa.attname = a.attname) FROM pg_partition_ancestors(c.oid) x(relid) \
                     JOIN pg_partitioned_table p ON p.partrelid = x.relid \
                     JOIN pg_attribute pa ON pa.attrelid = x.relid AND pa.attnum = ANY (p.partattrs::int2[])), false) \
    FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) \
    LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    JOIN base ON base.of = a.atttypid AND base.typtype <> 'd' \
    JOIN pg_type bt ON bt.oid = base.oid \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' \
      AND n.nspname NOT IN ('information_schema', 'rehearsal_anonymise') \
      AND NOT (n.nspname = $1 AND c.relname = ANY ($3)) AND c.oid IS DISTINCT FROM to_regclass($2) \
      AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid \
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' \
                        AND d.refclassid = 'pg_extension'::regclass AND NOT c.oid = ANY (coalesce(e.extconfig, '{}'))) \
    ORDER BY 1, 2, a.attnum";

const FOREIGN_KEYS: &str = "\
    SELECT k.conname::text, n.nspname::text, c.relname::text, \
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(attnum, place) \
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.place), \
           fn.nspname::text, f.relname::text, \
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(attnum, place) \
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY u.place), \
           k.confdeltype = 'c', \
           (SELECT bool_and(a.attnotnull) FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)), \
           c.relkind = 'p', f.relkind = 'p' \
    FROM pg_constraint k \
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace \
    WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 2, 3, 1";

impl Catalog {
    /// Reads it. Our own tables and the history of migrations need no rules: what the former hold of rows is
    /// emptied (see [`super::own_tables`]), and the latter holds nothing of anybody.
    pub(super) async fn read(session: &mut Session, history_table: &str) -> Result<Self> {
        let journal = session.target().journal().schema.clone();
        let query = sqlx::query(COLUMNS).bind(journal).bind(history_table).bind(&own_tables::NAMES[..]);
        let rows = session.fetch_bound(query).await.map_err(Stopped::doing("list the columns"))?;
        let mut tables: BTreeMap<TableName, Table> = BTreeMap::new();
        for row in rows {
            let name = TableName { schema: row.get(0), name: row.get(1) };
            let root: (Option<String>, Option<String>) = (row.get(2), row.get(3));
            let root = root.0.zip(root.1).map(|(schema, name)| TableName { schema, name });
            let length: Option<i32> = row.get(8);
            let table = tables.entry(name.clone()).or_insert_with(|| Table { name, root, columns: Vec::new() });
            table.columns.push(Column {
                name: row.get(4),
                type_name: row.get(5),
                kind: Kind::of(row.get(6), row.get(7)),
                length: length.and_then(|length| u32::try_from(length).ok()),
                not_null: row.get(9),
                generated: row.get(10),
                key: row.get(11),
                unique: row.get(12),
                partition_key: row.get(13),
            });
        }
        let rows = session.fetch_bound(sqlx::query(FOREIGN_KEYS)).await;
        let rows = rows.map_err(Stopped::doing("list the foreign keys"))?;
        let foreign_keys = rows
            .iter()
            .map(|row| ForeignKey {
                name: row.get(0),
                child: TableName { schema: row.get(1), name: row.get(2) },
                child_columns: row.get(3),
                parent: TableName { schema: row.get(4), name: row.get(5) },
                parent_columns: row.get(6),
                owned: row.get(7),
                required: row.get(8),
                child_is_partitioned: row.get(9),
                parent_is_partitioned: row.get(10),
            })
            .collect();
        Ok(Self { tables: tables.into_values().collect(), foreign_keys })
    }
}
