//! Questions to PostgreSQL's own catalogs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// A table's name with its schema, both quoted where they must be; as it was given when there is no
/// such table.
///
/// # Errors
/// The server's.
pub async fn whole_name(session: &mut Session, table: &str) -> Result<String> {
    let query = sqlx::query(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = to_regclass($1)",
    )
    .bind(table);
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("look for the migration history"))?;
    Ok(rows.first().map_or_else(|| table.to_owned(), |row| row.get(0)))
}

/// The cluster's number, made by initdb; nothing where the role may not see it.
///
/// # Errors
/// The server's.
pub async fn system_identifier(session: &mut Session) -> Result<Option<String>> {
    let doing = || Stopped::doing("ask which server it is");
    let may = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')::text";
    let row = session.fetch_text(may, 1).await.map_err(doing())?.rows.pop();
    if row.and_then(|mut row| row.pop()?).as_deref() != Some("true") {
        return Ok(None);
    }
    let rows = session.fetch_text("SELECT system_identifier::text FROM pg_control_system()", 1).await;
    Ok(rows.map_err(doing())?.rows.pop().and_then(|mut row| row.pop()?))
}

/// Indexes that a failed CREATE INDEX CONCURRENTLY left behind. A partitioned table's index is
/// invalid until every partition has its own, which is how such an index is built without a lock.
///
/// # Errors
/// The server's.
pub async fn invalid_indexes(session: &mut Session) -> Result<Vec<String>> {
    let query = "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                 WHERE NOT i.indisvalid AND c.relkind <> 'I' ORDER BY 1";
    let rows = session.fetch_text(query, usize::MAX).await.map_err(Stopped::doing("look for invalid indexes"))?;
    Ok(rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect())
}

/// What is known of a batch's key, and of the table that is walked along it.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    /// What has the column.
    pub holder: Holder,
    /// The type, as a cast writes it.
    pub type_name: String,
    /// It is a date or a time: its text depends on settings.
    pub is_time: bool,
    /// Some rows may have no key.
    pub nullable: bool,
    /// It is computed from other columns.
    pub generated: bool,
    /// The planner's estimate of the table's rows.
    pub estimated_rows: Option<u64>,
    /// A btree index opens with it, in whose order it can be walked: not partial, in the column's own
    /// collation and operators, NULLs where an `ORDER BY` expects them. Each table below has one as well.
    pub indexed: bool,
    /// No two rows have the same: such a key names its row, and seldom changes.
    pub unique: bool,
}

/// What a column belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A table, a partitioned one or a materialized view.
    Table,
    /// A view.
    View,
    /// A table of another server.
    Foreign,
}

/// Partitions and tables that inherit are walked together with the table: what is asked of it is asked of
/// them. Options 0 and 3 of an index are ascending with NULLs last and descending with NULLs first, which
/// are one order read from its two ends.
const KEY_COLUMN: &str = "\
    WITH RECURSIVE tree AS ( \
        SELECT c.oid, c.relkind, c.reltuples FROM pg_class c WHERE c.oid = to_regclass($1) \
        UNION \
        SELECT c.oid, c.relkind, c.reltuples FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid JOIN pg_class c ON c.oid = i.inhrelid \
    ), keys AS ( \
        SELECT tree.oid, tree.relkind, tree.reltuples, a.attnum, a.attnotnull, a.attcollation \
        FROM tree JOIN pg_attribute a ON a.attrelid = tree.oid AND NOT a.attisdropped \
        WHERE a.attname = (SELECT p[1] FROM parse_ident($2) p) AND a.attnum > 0 \
    ) \
    SELECT format_type(a.atttypid, a.atttypmod), c.relkind::text, t.typcategory = 'D', a.attgenerated <> '', \
           (SELECT bool_or(NOT keys.attnotnull) FROM keys), \
           (SELECT sum(greatest(keys.reltuples, 0))::float8 FROM keys WHERE keys.relkind <> 'p'), \
           (SELECT coalesce(bool_and(EXISTS ( \
                SELECT FROM pg_index i \
                JOIN pg_class ic ON ic.oid = i.indexrelid \
                JOIN pg_am m ON m.oid = ic.relam \
                JOIN pg_opclass o ON o.oid = i.indclass[0] \
                WHERE i.indrelid = keys.oid AND i.indisvalid AND i.indkey[0] = keys.attnum AND m.amname = 'btree' \
                  AND i.indpred IS NULL AND i.indoption[0] IN (0, 3) AND i.indcollation[0] = keys.attcollation \
                  AND o.opcdefault)), true) \
            FROM keys WHERE keys.relkind <> 'p'), \
           EXISTS (SELECT FROM pg_index u WHERE u.indrelid = c.oid AND u.indisunique AND u.indisvalid \
                   AND u.indpred IS NULL AND u.indnkeyatts = 1 AND u.indkey[0] = a.attnum) \
    FROM pg_class c \
    JOIN keys ON keys.oid = c.oid \
    JOIN pg_attribute a ON a.attrelid = keys.oid AND a.attnum = keys.attnum \
    JOIN pg_type t ON t.oid = a.atttypid \
    WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'm', 'v', 'f')";

/// Looks a batch's key up; names as written in SQL.
///
/// # Errors
/// The server's.
pub async fn key_column(session: &mut Session, table: &str, key: &str) -> Result<Option<KeyColumn>, Stopped> {
    let rows = session.fetch_bound(sqlx::query(KEY_COLUMN).bind(table).bind(key)).await?;
    Ok(rows.first().map(|row| {
        let tuples: Option<f64> = row.get(5);
        KeyColumn {
            holder: match row.get(1) {
                "v" => Holder::View,
                "f" => Holder::Foreign,
                _ => Holder::Table,
            },
            type_name: row.get(0),
            is_time: row.get(2),
            generated: row.get(3),
            nullable: row.get(4),
            // None: never counted.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an estimate, checked for its sign"
            )]
            estimated_rows: tuples.filter(|tuples| *tuples > 0.0).map(|tuples| tuples as u64),
            indexed: row.get(6),
            unique: row.get(7),
        }
    }))
}

/// What a migrating role needs, and what a reader wants to know of a database.
#[derive(Debug, Clone)]
pub struct Overview {
    /// `pg_database_size`, bytes.
    pub size: u64,
    /// The role may create tables in the schema that new tables go to.
    pub may_create: bool,
    /// The role may create schemas in the database.
    pub may_create_schema: bool,
    /// The role may create something somewhere: schemas, tables in any schema, or it owns a table.
    pub may_create_anything: bool,
    /// The database's owner.
    pub owner: String,
    /// The schema that new tables go to.
    pub schema: Option<String>,
    /// The role.
    pub role: String,
    /// Tables in it that the role neither owns nor is a member of the owner of, without those that
    /// came with an extension.
    pub foreign_tables: Vec<String>,
}

/// Reads the [`Overview`].
///
/// # Errors
/// The server's.
pub async fn overview(session: &mut Session) -> Result<Overview> {
    let query = sqlx::query(
        "SELECT pg_database_size(current_database()), current_schema(), \
                coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), current_user::text, \
                ARRAY(SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                      WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema() AND NOT pg_has_role(c.relowner, 'USAGE') \
                        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
                                        AND d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relname), \
                has_database_privilege(current_database(), 'CREATE'), \
                (SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()), \
                has_database_privilege(current_database(), 'CREATE') OR EXISTS ( \
                    SELECT FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
                      AND (has_schema_privilege(n.oid, 'CREATE') OR EXISTS ( \
                          SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p') \
                            AND pg_has_role(c.relowner, 'USAGE'))))",
    );
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("look at the database"))?;
    let row = rows
        .first()
        .ok_or_else(|| Stopped::doing("look at the database")(Stopped::Failed(sqlx::Error::RowNotFound)))?;
    Ok(Overview {
        size: u64::try_from(row.get::<i64, _>(0)).unwrap_or_default(),
        schema: row.get(1),
        may_create: row.get(2),
        role: row.get(3),
        foreign_tables: row.get(4),
        may_create_schema: row.get(5),
        owner: row.get(6),
        may_create_anything: row.get(7),
    })
}

/// Whether the role may write a table, by its name as written in SQL; a table that is not there yet will
/// be the role's own.
///
/// # Errors
/// The server's.
pub async fn may_write(session: &mut Session, table: &str) -> Result<bool> {
    let query = sqlx::query(
        "SELECT coalesce(bool_and(has_table_privilege(to_regclass($1)::oid, privilege)), true) \
         FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed(privilege)",
    )
    .bind(table);
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing(format!("look at the rights on {table}")))?;
    Ok(rows.first().is_none_or(|row| row.get(0)))
}

/// A role as a copy of the database needs it: what it may do there, never how it logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// It may do anything.
    pub superuser: bool,
    /// It has the rights of the roles that it is a member of without SET ROLE.
    pub inherit: bool,
    /// It may make and change other roles.
    #[serde(default)]
    pub create_role: bool,
    /// It may make databases.
    #[serde(default)]
    pub create_database: bool,
    /// Row-level security does not hide rows from it.
    #[serde(default)]
    pub bypass_rls: bool,
    /// It may replicate.
    #[serde(default)]
    pub replication: bool,
    /// The roles that it is a member of.
    pub member_of: Vec<String>,
}

/// What belongs to a database and is not in its dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The role that looked.
    pub role: String,
    /// The database's owner.
    pub owner: String,
    /// That role may create schemas in the database.
    pub may_create_schema: bool,
    /// That role may create something somewhere in the database.
    #[serde(default)]
    pub may_create_anything: bool,
    /// Roles that the server has; the dump may name any of them.
    pub roles: Vec<Role>,
    /// Settings of the role and the database; the weaker first.
    pub settings: Vec<(String, String)>,
}

impl Surroundings {
    /// The role that would migrate the database: the one that looked, unless that one can create
    /// nothing at all and so only reads; then the owner. A role that may create in one schema only is
    /// taken as it is: what it must not do has to fail in a rehearsal as well.
    #[must_use]
    pub fn migrating_role(&self) -> &str {
        if self.may_create_anything || self.may_create_schema { &self.role } else { &self.owner }
    }

    /// Forgets every role but the database's owner and those that a dump names: others may be called as people are.
    pub(crate) fn keep_only(&mut self, named: &BTreeSet<String>) {
        if !named.contains(&self.role) {
            self.role.clone_from(&self.owner);
        }
        let is_kept = |name: &str| named.contains(name) || name == self.owner;
        self.roles.retain(|role| is_kept(&role.name));
        for role in &mut self.roles {
            role.member_of.retain(|group| group.starts_with("pg_") || is_kept(group));
        }
    }
}

/// Reads the [`Surroundings`].
///
/// # Errors
/// The server's.
pub async fn surroundings(session: &mut Session, overview: &Overview) -> Result<Surroundings> {
    Ok(Surroundings {
        role: overview.role.clone(),
        owner: overview.owner.clone(),
        may_create_schema: overview.may_create_schema,
        may_create_anything: overview.may_create_anything,
        roles: roles(session).await?,
        settings: settings(session).await?,
    })
}

/// Roles other than PostgreSQL's own; a dump names them as owners and grantees.
///
/// # Errors
/// The server's.
pub async fn roles(session: &mut Session) -> Result<Vec<Role>> {
    let query = sqlx::query(
        "SELECT r.rolname::text, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolbypassrls, r.rolreplication, \
                ARRAY(SELECT DISTINCT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
                      WHERE m.member = r.oid ORDER BY 1) \
         FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1",
    );
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("list the roles"))?;
    Ok(rows
        .iter()
        .map(|row| Role {
            name: row.get(0),
            superuser: row.get(1),
            inherit: row.get(2),
            create_role: row.get(3),
            create_database: row.get(4),
            bypass_rls: row.get(5),
            replication: row.get(6),
            member_of: row.get(7),
        })
        .collect())
}

/// What `ALTER DATABASE … SET` and `ALTER ROLE … SET` say for this role in this database, the weaker
/// first. pg_dump leaves them out, and a search_path among them decides what a migration means.
///
/// # Errors
/// The server's.
pub async fn settings(session: &mut Session) -> Result<Vec<(String, String)>> {
    let query = sqlx::query(
        "SELECT split_part(c, '=', 1), substr(c, strpos(c, '=') + 1) \
         FROM pg_db_role_setting s, unnest(s.setconfig) WITH ORDINALITY AS u(c, n) \
         WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
           AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user)) \
         ORDER BY s.setrole <> 0, s.setdatabase <> 0, n",
    );
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("read the database's settings"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Installed extensions with their versions, without plpgsql.
///
/// # Errors
/// The server's.
pub async fn extensions(session: &mut Session) -> Result<Vec<String>> {
    let query = "SELECT extname || ' ' || extversion FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1";
    let rows = session.fetch_text(query, usize::MAX).await.map_err(Stopped::doing("list the extensions"))?;
    Ok(rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect())
}
