//! What somebody created where no dump looks: in pg_catalog, in information_schema, or for an extension that has not
//! registered it. Whatever needs it cannot be restored.
//!
//! The first happens to scripts that run with a `search_path` which is empty or begins with pg_catalog.

use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// One such object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// `function`, `type` …
    pub kind: String,
    /// Its name as the server writes it, arguments included.
    pub name: String,
    /// `pg_catalog` or `information_schema`.
    pub schema: String,
}

impl Stray {
    /// Its name alone.
    #[must_use]
    pub fn bare_name(&self) -> &str {
        self.name.split('(').next().unwrap_or_default().trim_matches('"')
    }
}

impl std::fmt::Display for Stray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// 16384 is FirstNormalObjectId (src/include/access/transam.h): what initdb makes is below.
const STRAYS: &str = "\
    SELECT kind, regexp_replace(name, '^information_schema\\.', ''), schema::regnamespace::text FROM ( \
        SELECT 'function' AS kind, oid::regprocedure::text AS name, 'pg_proc'::regclass AS class, oid, pronamespace AS schema FROM pg_proc \
        UNION ALL SELECT 'type', oid::regtype::text, 'pg_type'::regclass, oid, typnamespace FROM pg_type \
            WHERE typrelid = 0 AND typelem = 0 \
        UNION ALL SELECT 'operator', oid::regoperator::text, 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator \
        UNION ALL SELECT 'relation', oid::regclass::text, 'pg_class'::regclass, oid, relnamespace FROM pg_class \
            WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') \
    ) AS o \
    WHERE oid >= 16384 AND schema IN ('pg_catalog'::regnamespace, to_regnamespace('information_schema')) \
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e') \
    ORDER BY 1, 2";

/// A dump makes an extension anew, with the tables that its script makes and the rows that this puts into them.
const UNREGISTERED: &str = "\
    SELECT format('the table %s of extension %s (not registered by pg_extension_config_dump)', c.oid::regclass, e.extname) \
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_class c ON c.oid = d.objid \
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' \
      AND c.relkind IN ('r', 'p') AND e.oid >= 16384 AND NOT c.oid = ANY (coalesce(e.extconfig, '{}')) \
    ORDER BY 1";

/// Looks for them.
///
/// # Errors
/// The server's.
pub async fn read(session: &mut Session) -> Result<Vec<Stray>> {
    let rows = session.fetch_text(STRAYS, usize::MAX).await.map_err(Stopped::doing("look into pg_catalog"))?;
    let stray = |row: Vec<Option<String>>| {
        let [Some(kind), Some(name), Some(schema)] = <[Option<String>; 3]>::try_from(row).ok()? else { return None };
        Some(Stray { kind, name, schema })
    };
    Ok(rows.rows.into_iter().filter_map(stray).collect())
}

/// Tables of extensions that no dump holds the rows of, a phrase each.
///
/// # Errors
/// The server's.
pub async fn unregistered(session: &mut Session) -> Result<Vec<String>> {
    let rows = session.fetch_text(UNREGISTERED, usize::MAX).await;
    let rows = rows.map_err(Stopped::doing("look for tables of extensions"))?;
    Ok(rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect())
}
