//! What keeps a role from reading all of a database, which is what a dump does.

use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// What a role cannot read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Schemas that it may not use, and tables and sequences that it may not select from.
    pub forbidden: Vec<String>,
    /// Tables of which row-level security would hide rows from it. pg_dump refuses those.
    pub hidden: Vec<String>,
}

/// What an extension brought along is made by the extension again, and no part of a dump.
const RELATIONS: &str = "\
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
           (has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind \
                WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') \
                ELSE has_table_privilege(c.oid, 'SELECT') END)::text, \
           row_security_active(c.oid)::text \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'S', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
    ORDER BY 1";

/// Looks for what the session's role cannot read.
///
/// # Errors
/// The server's.
pub async fn unreadable(session: &mut Session) -> Result<Unreadable> {
    let rows = session.fetch_text(RELATIONS, usize::MAX).await.map_err(Stopped::doing("look at the role's rights"))?;
    let mut found = Unreadable::default();
    for row in rows.rows {
        let [Some(name), may_read, is_hidden] = &row[..] else { continue };
        if may_read.as_deref() != Some("true") {
            found.forbidden.push(name.clone());
        } else if is_hidden.as_deref() == Some("true") {
            found.hidden.push(name.clone());
        }
    }
    Ok(found)
}
