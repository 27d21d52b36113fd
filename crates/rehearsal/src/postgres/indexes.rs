//! Indexes: what is there, what a statement would make, and what stands in the way of a unique one.

use sqlx::{AssertSqlSafe, Row};

use super::query::{Stopped, sqlstate};
use super::session::{QUERY_TIMEOUT, Session};

/// How many duplicate keys are listed.
const LISTED: usize = 10;

/// An index as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// `schema.name`, quoted where it must be.
    pub name: String,
    /// The planner may use it, and its uniqueness holds.
    pub valid: bool,
    /// The backend that builds it at this moment.
    pub builder: Option<i32>,
    /// What would make it, as the server says it.
    pub definition: String,
    /// What makes it what it is, whatever it and its table are called.
    pub kind: IndexKind,
}

/// Two indexes of one table that are equal in this are the same for every query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKind {
    /// No two rows may have the same key.
    pub unique: bool,
    /// Method, keys and condition, as the server says them.
    pub keys: String,
}

impl std::fmt::Display for IndexKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.unique { "unique, " } else { "" })?;
        f.write_str(&self.keys)
    }
}

const INDEX: &str = "i.indexrelid::regclass::text, i.indisvalid, \
     (SELECT p.pid FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid LIMIT 1), \
     pg_get_indexdef(i.indexrelid), i.indisunique, \
     (SELECT m.amname::text FROM pg_am m JOIN pg_class c ON c.oid = i.indexrelid WHERE m.oid = c.relam)";

fn index_of(row: &sqlx::postgres::PgRow) -> Index {
    let (definition, method): (String, String) = (row.get(3), row.get(5));
    let keys = definition.find(&format!(" USING {method} (")).map_or("", |at| &definition[at + 1..]).to_owned();
    Index {
        name: row.get(0),
        valid: row.get(1),
        builder: row.get(2),
        kind: IndexKind { unique: row.get(4), keys },
        definition,
    }
}

/// The index of that name (as written in SQL, quotes included) in the schema of that table; whether it
/// is one of that table stands beside it.
///
/// # Errors
/// The server's; a name that is none.
pub async fn beside(session: &mut Session, name: &str, table: &str) -> Result<Option<(Index, bool)>, Stopped> {
    // An index lives in its table's schema; parse_ident unquotes and folds as the parser does.
    let sql = format!(
        "SELECT {INDEX}, i.indrelid = t.oid FROM pg_index i \
         JOIN pg_class n ON n.oid = i.indexrelid JOIN pg_class t ON t.oid = to_regclass($2) \
         WHERE n.relname = (SELECT p[array_upper(p, 1)] FROM parse_ident($1) p) AND n.relnamespace = t.relnamespace"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(name).bind(table);
    let rows = session.fetch_bound(query).await?;
    Ok(rows.first().map(|row| (index_of(row), row.get(6))))
}

/// The index of that name, schema-qualified or found by the search path.
///
/// # Errors
/// The server's.
pub async fn by_name(session: &mut Session, name: &str) -> Result<Option<Index>, Stopped> {
    let sql = format!("SELECT {INDEX} FROM pg_index i WHERE i.indexrelid = to_regclass($1)");
    let rows = session.fetch_bound(sqlx::query(AssertSqlSafe(sql)).bind(name)).await?;
    Ok(rows.first().map(index_of))
}

/// The indexes of a table that are of that kind, by their names.
///
/// # Errors
/// The server's.
pub async fn of_kind(session: &mut Session, table: &str, kind: &IndexKind) -> Result<Vec<Index>, Stopped> {
    let sql = format!("SELECT {INDEX} FROM pg_index i WHERE i.indrelid = to_regclass($1) ORDER BY 1");
    let rows = session.fetch_bound(sqlx::query(AssertSqlSafe(sql)).bind(table)).await?;
    Ok(rows.iter().map(index_of).filter(|index| index.kind == *kind).collect())
}

/// What a statement would make of a table: tried on an empty one with the same columns, which nobody
/// sees and which goes at once. Nothing where the role may not make one, or the server refuses the
/// index: then it is the statement itself that has to say so.
///
/// # Errors
/// A lost connection, and the user's wish to stop.
pub async fn would_be(
    session: &mut Session,
    table: &str,
    unique: bool,
    definition: &str,
) -> Result<Option<IndexKind>, Stopped> {
    let create = format!("CREATE TEMPORARY TABLE rehearsal_like (LIKE {table})");
    let unique = if unique { "UNIQUE " } else { "" };
    // The statement's text may end in a comment.
    let build = format!("CREATE {unique}INDEX ON pg_temp.rehearsal_like {definition}\n");
    let look = format!("SELECT {INDEX} FROM pg_index i WHERE i.indrelid = to_regclass('pg_temp.rehearsal_like')");
    session.execute("BEGIN").await?;
    let found = async {
        session.execute(&create).await?;
        session.execute(&build).await?;
        // Not kept by the session: what it speaks of is gone in a moment.
        let rows = session.fetch_bound(sqlx::query(AssertSqlSafe(look)).persistent(false)).await?;
        Ok(rows.first().map(|row| index_of(row).kind))
    }
    .await;
    let found = match found {
        Err(Stopped::Failed(error)) if sqlstate(&error).is_some() => None,
        found => found?,
    };
    session.execute("ROLLBACK").await?;
    Ok(found)
}

/// INVALID indexes that a REINDEX … CONCURRENTLY has left, which can go: those of an index's table, of a
/// table and its partitions, or of the database when neither is named. Not those of a REINDEX that runs.
///
/// # Errors
/// The server's.
pub async fn left_by_reindex(
    session: &mut Session,
    index: Option<&str>,
    table: Option<&str>,
) -> Result<Vec<String>, Stopped> {
    // https://www.postgresql.org/docs/current/sql-reindex.html, "Rebuilding Indexes Concurrently".
    // Those of a TOAST table are the server's own business: only a superuser may drop them.
    let query = sqlx::query(
        "SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND c.relnamespace <> 'pg_toast'::regnamespace \
           AND ($1::text IS NULL OR i.indrelid = (SELECT o.indrelid FROM pg_index o WHERE o.indexrelid = to_regclass($1))) \
           AND ($2::text IS NULL OR i.indrelid = to_regclass($2) \
                OR i.indrelid IN (SELECT t.relid FROM pg_partition_tree(to_regclass($2)) t)) \
           AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid) \
         ORDER BY 1",
    )
    .bind(index)
    .bind(table);
    let rows = session.fetch_bound(query).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Keys that a unique index cannot take, as a line for people: how often each is there, the most
/// frequent first. The index itself, an INVALID one, tells what its keys are.
///
/// # Errors
/// The server's; reading the table takes longer than [`QUERY_TIMEOUT`].
pub async fn duplicates(session: &mut Session, index: &str) -> Result<Option<String>, Stopped> {
    let query = sqlx::query(
        "SELECT i.indrelid::regclass::text, pg_get_expr(i.indpred, i.indrelid), \
                coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), \
                ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false) FROM generate_series(1, i.indnkeyatts) n) \
         FROM pg_index i WHERE i.indexrelid = to_regclass($1)",
    )
    .bind(index);
    let rows = session.fetch_bound(query).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (table, keys): (String, Vec<String>) = (row.get(0), row.get(3));
    let mut conditions: Vec<String> = row.get::<Option<String>, _>(1).into_iter().collect();
    if !row.get::<bool, _>(2) {
        conditions.extend(keys.iter().map(|key| format!("({key}) IS NOT NULL")));
    }
    let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    let shown: Vec<String> = keys.iter().map(|key| format!("coalesce(({key})::text, 'NULL')")).collect();
    let (shown, keys) = (shown.join(", "), keys.join(", "));
    let sql = format!(
        "SELECT concat_ws(', ', {shown}), count(*)::text FROM {table} WHERE {condition} GROUP BY {keys} \
         HAVING count(*) > 1 ORDER BY count(*) DESC, 1 LIMIT {}",
        LISTED + 1
    );
    session.begin_reading(QUERY_TIMEOUT).await?;
    let found = session.fetch_text(&sql, LISTED).await;
    session.end_reading().await?;
    let found = found?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let listed: Vec<String> =
        found.rows.iter().map(|row| format!("({}) {} times", text(&row[0]), text(&row[1]))).collect();
    let more = if found.total > LISTED { ", and more" } else { "" };
    Ok((!listed.is_empty()).then(|| format!("({keys}) = {}{more}", listed.join(", "))))
}
