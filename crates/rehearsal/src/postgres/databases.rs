//! The databases of a server, seen from one beside them: who is in a database can neither rename nor drop it.

use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::query::Stopped;
use super::session::Session;
use crate::error::{Error, Result};
use crate::target::Target;

/// Where such a session goes. initdb makes both, and either may be gone, or shut to a role.
const BESIDE: &[&str] = &["postgres", "template1"];

/// A session that others need may be idle for as long as they work.
const NO_IDLE_TIMEOUT: &str =
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'";

/// Opens a connection to the same server that is not in the target's database.
///
/// # Errors
/// Why none of the places lets us in.
pub async fn connect_beside(target: &Target, purpose: &str, cancel: &CancellationToken) -> Result<Session> {
    let mut first: Option<Error> = None;
    for place in BESIDE.iter().filter(|place| **place != target.database()) {
        match Session::connect(&target.with_database(place), purpose, cancel).await {
            Ok(mut session) => {
                stay(&mut session).await?;
                return Ok(session);
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(Error::Interrupted))
}

/// Lets a session be idle for as long as it has to.
///
/// # Errors
/// The server's.
pub async fn stay(session: &mut Session) -> Result<()> {
    session.execute(NO_IDLE_TIMEOUT).await.map(drop).map_err(Stopped::doing("prepare a session that lasts"))
}

/// What is known of a database from outside.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its encoding.
    pub encoding: String,
    /// Collation and tablespace, as CREATE DATABASE takes them.
    pub made_with: String,
    /// Its comment.
    pub comment: Option<String>,
    /// The role may rename it: it owns it, or is a member of its owner, and may make databases.
    pub may_be_renamed: bool,
    /// The role may make databases.
    pub may_create: bool,
    /// Its owner.
    pub owner: String,
    /// Transactions that are prepared in it: they keep it from being renamed.
    pub prepared: Vec<String>,
    /// Logical replication slots and subscriptions, which belong to it and to no other.
    pub bound: Vec<String>,
}

/// The columns for providers of collations have other names in each major, or are not there.
const DESCRIBE: &str = "\
    SELECT pg_encoding_to_char(d.encoding)::text, \
           concat_ws(' ', format('LC_COLLATE %L LC_CTYPE %L', d.datcollate, d.datctype), \
               CASE j ->> 'datlocprovider' \
                   WHEN 'i' THEN format('LOCALE_PROVIDER icu ICU_LOCALE %L', coalesce(j ->> 'datlocale', j ->> 'daticulocale')) \
                   WHEN 'b' THEN format('LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', j ->> 'datlocale') END, \
               CASE WHEN j ->> 'daticurules' <> '' THEN format('ICU_RULES %L', j ->> 'daticurules') END, \
               CASE WHEN t.spcname <> 'pg_default' THEN format('TABLESPACE %I', t.spcname) END), \
           shobj_description(d.oid, 'pg_database'), \
           me.rolsuper OR (me.rolcreatedb AND pg_has_role(d.datdba, 'USAGE')), \
           me.rolsuper OR me.rolcreatedb, \
           pg_get_userbyid(d.datdba)::text, \
           ARRAY(SELECT gid FROM pg_prepared_xacts WHERE database = d.datname ORDER BY 1), \
           ARRAY(SELECT format('replication slot %s', slot_name) FROM pg_replication_slots WHERE database = d.datname \
                 UNION ALL SELECT format('subscription %s', subname) FROM pg_subscription WHERE subdbid = d.oid ORDER BY 1) \
    FROM pg_database d CROSS JOIN LATERAL (SELECT to_jsonb(d) AS j) columns \
    JOIN pg_tablespace t ON t.oid = d.dattablespace JOIN pg_roles me ON me.rolname = current_user \
    WHERE d.datname = $1";

/// Looks at a database of the server; nothing when there is none of that name.
///
/// # Errors
/// The server's.
pub async fn describe(session: &mut Session, name: &str) -> Result<Option<Described>> {
    let rows = session.fetch_bound(sqlx::query(DESCRIBE).bind(name)).await;
    let rows = rows.map_err(Stopped::doing(format!("look at database {name}")))?;
    Ok(rows.first().map(|row| Described {
        encoding: row.get(0),
        made_with: row.get(1),
        comment: row.get(2),
        may_be_renamed: row.get(3),
        may_create: row.get(4),
        owner: row.get(5),
        prepared: row.get(6),
        bound: row.get(7),
    }))
}

/// How many sessions of others are in a database; ours are those of this tool.
///
/// # Errors
/// The server's.
pub async fn clients(session: &mut Session, name: &str) -> Result<u64> {
    let query = sqlx::query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND usesysid IS NOT NULL \
         AND application_name NOT LIKE 'rehearsal/%'",
    );
    let rows = session.fetch_bound(query.bind(name)).await;
    let rows = rows.map_err(Stopped::doing(format!("look who is in database {name}")))?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<i64, _>(0)).unwrap_or(0)))
}

/// What makes a database to others what another one is to them, statement by statement.
#[derive(Debug, Clone, Default)]
pub struct HandOver {
    /// Owner, rights and connection limit.
    pub rights: Vec<String>,
    /// `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET`.
    pub settings: Vec<String>,
}

/// As `pg_dump --create` and `pg_dumpall` write them (dumpDatabase, dumpDatabaseConfig in pg_dump.c); the owner
/// first, who gives the rights. Settings whose values are lists of names are stored as they are written.
const HAND_OVER: &str = "\
    WITH source AS (SELECT * FROM pg_database WHERE datname = $1), \
    given AS (SELECT a.*, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who \
              FROM source, aclexplode(source.datacl) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, place)), \
    said AS (SELECT s.setrole, u.n, split_part(u.c, '=', 1) AS name, substr(u.c, strpos(u.c, '=') + 1) AS value \
             FROM source JOIN pg_db_role_setting s ON s.setdatabase = source.oid, \
                  unnest(s.setconfig) WITH ORDINALITY AS u(c, n)) \
    SELECT statement, is_setting FROM ( \
        SELECT 1 AS place, 0 AS n, format('ALTER DATABASE %I OWNER TO %I', $2, pg_get_userbyid(datdba)) AS statement, false AS is_setting FROM source \
        UNION ALL SELECT 2, 0, format('ALTER DATABASE %I CONNECTION LIMIT %s', $2, datconnlimit), false FROM source \
        UNION ALL SELECT 3, 0, format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', $2, pg_get_userbyid(datdba)), false FROM source WHERE datacl IS NOT NULL \
        UNION ALL SELECT 4, place, format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, $2, who, \
                  CASE WHEN is_grantable AND grantee <> 0 THEN ' WITH GRANT OPTION' ELSE '' END), false FROM given \
        UNION ALL SELECT 5, n, format('%s SET %s TO %s', \
                  CASE setrole WHEN 0 THEN format('ALTER DATABASE %I', $2) \
                       ELSE format('ALTER ROLE %I IN DATABASE %I', pg_get_userbyid(setrole), $2) END, name, \
                  CASE WHEN name IN ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries') AND value <> '' \
                       THEN value ELSE quote_literal(value) END), true FROM said \
    ) statements ORDER BY place, n, statement";

/// What a new database is to be told so that it takes the place of another one.
///
/// # Errors
/// The server's.
pub async fn hand_over(session: &mut Session, from: &str, to: &str) -> Result<HandOver> {
    let rows = session.fetch_bound(sqlx::query(HAND_OVER).bind(from).bind(to)).await;
    let rows = rows.map_err(Stopped::doing(format!("read owner, rights and settings of {from}")))?;
    let mut found = HandOver::default();
    for row in rows {
        let list = if row.get::<bool, _>(1) { &mut found.settings } else { &mut found.rights };
        list.push(row.get(0));
    }
    Ok(found)
}

/// How many objects a user has made in the session's database: a fresh one has none.
///
/// # Errors
/// The server's.
pub async fn objects(session: &mut Session) -> Result<u64> {
    let own = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    let sql = format!(
        "SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {own}) \
         + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {own}) \
         + (SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {own}) \
         + (SELECT count(*) FROM pg_namespace n WHERE {own} AND n.nspname <> 'public') \
         + (SELECT count(*) FROM pg_largeobject_metadata)"
    );
    let rows = session.fetch_bound(sqlx::query(sqlx::AssertSqlSafe(sql))).await;
    let rows = rows.map_err(Stopped::doing("see whether the database is empty"))?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<i64, _>(0)).unwrap_or(0)))
}
