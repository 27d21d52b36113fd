//! All that a database holds, told so that two databases can be compared: objects by their
//! definitions, rows by their values.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use crate::database::Database;

/// Objects of the user's own, by what makes them what they are.
const OBJECTS: &str = "
WITH mine AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'rehearsal')
), relations AS (
    SELECT c.* FROM pg_class c JOIN mine ON mine.oid = c.relnamespace
)
SELECT concat_ws(' ', 'schema', nspname) FROM mine
UNION ALL SELECT concat_ws(' ', 'relation', oid::regclass, relkind, pg_get_expr(relpartbound, oid)) FROM relations
UNION ALL SELECT concat_ws(' ', 'column', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.attidentity, pg_get_expr(d.adbin, d.adrelid))
    FROM relations c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
UNION ALL SELECT concat_ws(' ', 'constraint', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN mine ON mine.oid = k.connamespace
UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid, 'ready', i.indisready)
    FROM pg_index i JOIN relations c ON c.oid = i.indexrelid
UNION ALL SELECT concat_ws(' ', 'partition', i.inhrelid::regclass, 'of', i.inhparent::regclass,
       to_jsonb(i) ->> 'inhdetachpending')
    FROM pg_inherits i JOIN relations c ON c.oid = i.inhrelid
UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid))
    FROM pg_trigger t JOIN relations c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL SELECT concat_ws(' ', 'view', c.oid::regclass, pg_get_viewdef(c.oid)) FROM relations c WHERE relkind IN ('v', 'm')
UNION ALL SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid))
    FROM pg_proc p JOIN mine ON mine.oid = p.pronamespace WHERE p.prokind IN ('f', 'p')
UNION ALL SELECT concat_ws(' ', 'label', e.enumtypid::regtype, e.enumlabel)
    FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN mine ON mine.oid = t.typnamespace
ORDER BY 1";

/// The tables with rows of their own, and their columns.
const COLUMNS: &str = "
SELECT c.oid::regclass::text, a.attname::text, a.attidentity <> '' OR format_type(a.atttypid, NULL) IN
       ('timestamp with time zone', 'uuid') OR a.attname = 'execution_time'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'rehearsal')
ORDER BY 1, 2";

/// Columns whose values no two runs share: the time, random numbers, what a sequence gave. By table.
pub type Chance = BTreeMap<String, Vec<String>>;

/// Everything in the database but what is left to chance, and what stands in the journal.
///
/// # Panics
/// When it cannot be read.
pub async fn of(database: &Database, chance: &Chance) -> Vec<String> {
    let mut connection = database.connect().await;
    let mut state = strings(&mut connection, OBJECTS).await;
    for table in tables(&mut connection).await.into_keys() {
        let left_out = chance.get(&table).cloned().unwrap_or_default();
        let sql = format!(
            "SELECT concat_ws(' ', 'rows', count(*), md5(string_agg(line, E'\\n' ORDER BY line))) \
             FROM (SELECT (to_jsonb(t) - $1)::text AS line FROM {table} t) lines"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(left_out).fetch_one(&mut connection).await;
        state.push(format!("{table} {}", row.expect("the rows are read").get::<String, _>(0)));
    }
    state
}

/// The columns in which two undisturbed runs differ.
///
/// # Panics
/// When one of them is not of a kind that is left to chance.
pub async fn chance(one: &Database, other: &Database) -> Chance {
    let (mut one, mut other) = (one.connect().await, other.connect().await);
    let mut chance = Chance::new();
    for (table, columns) in tables(&mut one).await {
        for (column, may_differ) in columns {
            let sql = format!(
                "SELECT md5(string_agg(v, E'\\n' ORDER BY v)) FROM (SELECT to_jsonb(t) ->> '{column}' AS v FROM {table} t) l"
            );
            if strings(&mut one, &sql).await != strings(&mut other, &sql).await {
                assert!(may_differ, "two undisturbed runs differ in {table}.{column}");
                chance.entry(table.clone()).or_default().push(column);
            }
        }
    }
    chance
}

async fn tables(connection: &mut PgConnection) -> BTreeMap<String, Vec<(String, bool)>> {
    let rows = sqlx::query(COLUMNS).fetch_all(connection).await.expect("the columns are listed");
    let mut tables: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for row in rows {
        tables.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
    }
    tables
}

async fn strings(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect()
}
