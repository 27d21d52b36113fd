//! What a user has made in a database, as statements that remove it: all but extensions, and the schemas that
//! hold them or came with the server.

use sqlx::Row;

use super::identifier::quote;
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// What stays.
#[derive(Debug, Clone, Default)]
pub struct Stays {
    /// Extensions: to make some of them takes a superuser.
    pub extensions: Vec<String>,
    /// Schemas.
    pub schemas: Vec<String>,
}

/// A user's schemas.
const SCHEMAS: &str = "\
    SELECT n.oid, n.nspname::text AS name, n.nspname = 'public' OR EXISTS ( \
               SELECT FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid \
               AND (d.classid = 'pg_extension'::regclass OR EXISTS (SELECT FROM pg_depend e \
                    WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e'))) AS stays \
    FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Extensions and schemas that stay.
///
/// # Errors
/// The server's.
pub async fn stays(session: &mut Session) -> Result<Stays> {
    let doing = || Stopped::doing("list schemas and extensions");
    let extensions = sqlx::query("SELECT extname::text FROM pg_extension ORDER BY 1");
    let extensions = session.fetch_bound(extensions).await.map_err(doing())?;
    let schemas = format!("SELECT name FROM ({SCHEMAS}) s WHERE stays ORDER BY 1");
    let schemas = session.fetch_bound(sqlx::query(sqlx::AssertSqlSafe(schemas))).await.map_err(doing())?;
    Ok(Stays {
        extensions: extensions.iter().map(|row| row.get(0)).collect(),
        schemas: schemas.iter().map(|row| row.get(0)).collect(),
    })
}

/// The statements, for a transaction. What another one has removed already is passed over.
///
/// # Errors
/// The server's.
pub async fn statements(session: &mut Session) -> Result<Vec<String>> {
    // Objects that are in a schema depend on it, but for those that are part of another one. What is in none has an oid
    // that initdb did not give (FirstNormalObjectId).
    let objects = format!(
        "WITH schemas AS ({SCHEMAS}), objects AS ( \
             SELECT d.classid, d.objid FROM pg_depend d JOIN schemas s ON d.refobjid = s.oid \
             WHERE d.refclassid = 'pg_namespace'::regclass AND d.deptype = 'n' AND d.objsubid = 0 \
               AND d.classid NOT IN ('pg_extension'::regclass, 'pg_default_acl'::regclass) \
             UNION SELECT 'pg_cast'::regclass, oid FROM pg_cast WHERE oid >= 16384 \
             UNION SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger \
             UNION SELECT 'pg_publication'::regclass, oid FROM pg_publication \
             UNION SELECT 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper \
             UNION SELECT 'pg_foreign_server'::regclass, oid FROM pg_foreign_server \
             UNION SELECT 'pg_transform'::regclass, oid FROM pg_transform) \
         SELECT replace(i.type, '-', ' '), i.identity FROM objects o, pg_identify_object(o.classid, o.objid, 0) i \
         WHERE i.type IS NOT NULL AND i.identity IS NOT NULL \
           AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.classid AND e.objid = o.objid AND e.deptype = 'e') \
         ORDER BY i.type <> 'table', 1, 2"
    );
    let doing = || Stopped::doing("list what is there");
    let rows = session.fetch_bound(sqlx::query(sqlx::AssertSqlSafe(objects))).await.map_err(doing())?;
    let drop = |row: &sqlx::postgres::PgRow| {
        // An aggregate without arguments has a name of its own for DROP AGGREGATE.
        let kind = match row.get(0) {
            "function" | "procedure" | "aggregate" => "routine",
            kind => kind,
        };
        format!("DROP {kind} IF EXISTS {} CASCADE", row.get::<&str, _>(1))
    };
    let mut statements: Vec<String> = rows.iter().map(drop).collect();
    let gone = format!("SELECT name FROM ({SCHEMAS}) s WHERE NOT stays ORDER BY 1");
    let gone = session.fetch_bound(sqlx::query(sqlx::AssertSqlSafe(gone))).await.map_err(doing())?;
    statements.extend(gone.iter().map(|row| format!("DROP SCHEMA {} CASCADE", quote(&row.get::<String, _>(0)))));
    Ok(statements)
}
