//! What a dump holds beside rows: some of it is a secret by its nature and goes, some may be one and is told.

use crate::error::Result;
use crate::postgres::identifier::quote;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;

/// Passwords for other servers stand in these in the clear. (They do in subscriptions as well, which belong to the
/// cluster: a copy by TEMPLATE has none.)
const MAPPINGS: &str = "SELECT srvname, usename FROM pg_user_mappings";

const DEFINITIONS: &str = "\
    SELECT (SELECT count(*) FROM pg_description d WHERE d.objoid >= 16384), \
           (SELECT count(*) FROM pg_proc p WHERE p.oid >= 16384 AND p.pronamespace <> 'rehearsal_anonymise'::regnamespace \
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')), \
           (SELECT count(*) FROM pg_attrdef), \
           (SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND oid >= 16384), \
           (SELECT count(*) FROM pg_class WHERE relkind IN ('v', 'm') AND oid >= 16384)";

/// Removes what holds passwords, and large objects if that is wanted. Gives what was removed, as phrases.
pub(super) async fn remove(session: &mut Session, large_objects: bool) -> Result<Vec<String>> {
    let doing = || Stopped::doing("take secrets out of the copy");
    let mut removed = Vec::new();
    for row in session.fetch_text(MAPPINGS, usize::MAX).await.map_err(doing())?.rows {
        let [server, user] = [0, 1].map(|index| row[index].clone().unwrap_or_default());
        let whose = if user == "public" { "PUBLIC".to_owned() } else { quote(&user) };
        let sql = format!("DROP USER MAPPING FOR {whose} SERVER {}", quote(&server));
        session.execute(&sql).await.map_err(doing())?;
        removed.push(format!("the user mapping of {user} for server {server} was left out: it may hold a password"));
    }
    if large_objects {
        session.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata").await.map_err(doing())?;
    }
    Ok(removed)
}

/// A sentence on what is copied as it is written.
pub(super) async fn definitions(session: &mut Session) -> Result<String> {
    let rows = session.fetch_text(DEFINITIONS, 1).await.map_err(Stopped::doing("count the definitions"))?;
    let row = rows.rows.into_iter().next().unwrap_or_default();
    let [comments, functions, defaults, checks, views] =
        [0, 1, 2, 3, 4].map(|index| row.get(index).cloned().flatten().unwrap_or_else(|| "0".into()));
    Ok(format!(
        "definitions are copied as they are written: {functions} functions, {views} views, {defaults} defaults, \
         {checks} check constraints, {comments} comments; a secret in one of them is in the copy"
    ))
}
