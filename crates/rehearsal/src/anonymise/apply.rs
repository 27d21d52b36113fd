//! The rules at work: table by table, each in one transaction of a throwaway database.

use super::catalog::{Column, Kind};
use super::coverage::{Plan, Planned};
use super::expression::new_value;
use super::failure::AnonymiseError;
use super::fakes;
use super::key::Key;
use super::rule::Rule;
use crate::error::{Error, Result};
use crate::event::{Emitter, EventKind, Progress};
use crate::postgres::identifier::{literal, qualified, quote};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;

/// `disk_full` (Appendix A of PostgreSQL's manual).
const DISK_FULL: &str = "53100";

/// Triggers and rewrite rules do not fire, and foreign keys are not looked at row by row: whoever restores the
/// copy has them checked. The path is that of a dump: what works here works when it is restored.
const SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = 0; SET session_replication_role = replica; \
    SET row_security = off; SET search_path = ''; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'";

/// Event triggers that fire even so.
const EVENT_TRIGGERS: &str = "SELECT evtname, evtenabled::text FROM pg_event_trigger WHERE evtenabled IN ('A', 'R')";

/// A table that is published needs a replica identity for its rows to be deleted. Only for that: what is inserted is
/// published without.
const PUBLICATIONS: &str = "\
    SELECT pubname, concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END, \
                              CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END) \
    FROM pg_publication WHERE pubupdate OR pubdelete";

/// Triggers and rewrite rules that fire even so: their names, tables, and how they are switched on again.
const ALWAYS: &str = "\
    SELECT n.nspname, c.relname, 'TRIGGER', t.tgname, t.tgenabled::text FROM pg_trigger t \
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE t.tgenabled IN ('A', 'R') AND NOT t.tgisinternal \
    UNION ALL \
    SELECT n.nspname, c.relname, 'RULE', r.rulename, r.ev_enabled::text FROM pg_rewrite r \
    JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE r.ev_enabled IN ('A', 'R') AND c.relkind IN ('r', 'p')";

/// What became of a table's rows.
pub(super) struct Applied {
    /// The table and the column, for people.
    pub column: String,
    pub rule: String,
    pub rows: u64,
    /// Rows that have the value that they had, although it could have become another.
    pub unchanged: u64,
}

/// What [`uninstall`] has to put back.
pub(super) struct Installed {
    again: Vec<String>,
}

/// Makes a session ready, and puts the key where the rules find it. Nothing fires from now on, and nothing is in the
/// way of rows that go.
pub(super) async fn install(session: &mut Session, key: &Key) -> Result<Installed> {
    let doing = || Stopped::doing("install the rules in the sandbox");
    session.execute(SETTINGS).await.map_err(doing())?;
    let [inner, outer] = key.pads();
    for (name, pad) in [("inner", inner), ("outer", outer)] {
        // Bound: it is in no text of a statement.
        let query = sqlx::query("SELECT set_config('rehearsal_anonymise.' || $1, $2, false)").bind(name).bind(pad);
        session.fetch_bound(query).await.map_err(doing())?;
    }
    let mut again = Vec::new();
    // First: they may forbid all that follows.
    silence_event_triggers(session, &mut again).await?;
    session.execute(&fakes::functions()).await.map_err(doing())?;
    silence(session, &mut again).await?;
    silence_publications(session, &mut again).await?;
    Ok(Installed { again })
}

/// Takes away what [`install`] has made, and puts back what it has changed.
pub(super) async fn uninstall(session: &mut Session, installed: Installed) -> Result<()> {
    let doing = || Stopped::doing("take the rules out of the sandbox");
    session.execute("DROP SCHEMA rehearsal_anonymise CASCADE").await.map_err(doing())?;
    for statement in installed.again.iter().rev() {
        session.execute(statement).await.map_err(doing())?;
    }
    Ok(())
}

/// Applies all rules, and tells which table is next.
pub(super) async fn apply(session: &mut Session, plan: &Plan, events: &Emitter) -> Result<Vec<Applied>> {
    let mut applied = Vec::new();
    let changing: Vec<&Planned> = plan.tables.iter().filter(|planned| !planned.changes.is_empty()).collect();
    for (done, planned) in changing.iter().enumerate() {
        events.emit(EventKind::Progress(Progress {
            unit: "tables".into(),
            done: done as u64,
            total: Some(changing.len() as u64),
            what: planned.table.name.to_string(),
            per_second: None,
            left_ms: None,
        }));
        applied.extend(table(session, planned).await?);
    }
    Ok(applied)
}

/// Switches event triggers off, and adds the statements that switch them on again.
async fn silence_event_triggers(session: &mut Session, again: &mut Vec<String>) -> Result<()> {
    let doing = || Stopped::doing("switch event triggers off");
    for row in session.fetch_text(EVENT_TRIGGERS, usize::MAX).await.map_err(doing())?.rows {
        let [name, enabled] = [0, 1].map(|index| row[index].clone().unwrap_or_default());
        let (name, how) = (quote(&name), if enabled == "A" { "ALWAYS" } else { "REPLICA" });
        session.execute(&format!("ALTER EVENT TRIGGER {name} DISABLE")).await.map_err(doing())?;
        again.push(format!("ALTER EVENT TRIGGER {name} ENABLE {how}"));
    }
    Ok(())
}

/// Lets publications look away, and adds the statements that have them look again.
async fn silence_publications(session: &mut Session, again: &mut Vec<String>) -> Result<()> {
    let doing = || Stopped::doing("let publications look away");
    for row in session.fetch_text(PUBLICATIONS, usize::MAX).await.map_err(doing())?.rows {
        let [name, what] = [0, 1].map(|index| row[index].clone().unwrap_or_default());
        let publish = |what: &str| format!("ALTER PUBLICATION {} SET (publish = {})", quote(&name), literal(what));
        session.execute(&publish("insert")).await.map_err(doing())?;
        again.push(publish(&what));
    }
    Ok(())
}

/// Switches off what would fire, and adds the statements that switch it on again.
async fn silence(session: &mut Session, again: &mut Vec<String>) -> Result<()> {
    let rows = session.fetch_text(ALWAYS, usize::MAX).await.map_err(Stopped::doing("look for triggers"))?;
    for row in rows.rows {
        let [schema, table, what, name, enabled] = [0, 1, 2, 3, 4].map(|index| row[index].clone().unwrap_or_default());
        let table = qualified(&schema, &table);
        let how = if enabled == "A" { "ALWAYS" } else { "REPLICA" };
        let off = format!("ALTER TABLE {table} DISABLE {what} {}", quote(&name));
        session.execute(&off).await.map_err(Stopped::doing("switch a trigger off"))?;
        again.push(format!("ALTER TABLE {table} ENABLE {how} {what} {}", quote(&name)));
    }
    Ok(())
}

/// All rows go out, with old and new values side by side, and come back with the new ones. An UPDATE would meet
/// new values of some rows beside old ones of others in its unique indexes.
async fn table(session: &mut Session, planned: &Planned) -> Result<Vec<Applied>> {
    let name = planned.table.sql();
    let known = planned.table.name.to_string();
    let failed = |stopped: Stopped| failure(&known, stopped);
    let stored: Vec<&Column> = planned.table.columns.iter().filter(|column| !column.generated).collect();
    let old = stored.iter().enumerate().map(|(index, column)| format!("t.{} AS o{index}", column.sql()));
    let new = planned.changes.iter().enumerate().map(|(index, change)| {
        format!("{} AS n{index}", new_value(&change.rule, &change.column, &format!("t.{}", change.column.sql())))
    });
    let both: Vec<String> = old.chain(new).collect();
    let aside = format!(
        "BEGIN; CREATE TEMPORARY TABLE rehearsal_changed ON COMMIT DROP AS SELECT {} FROM ONLY {name} t",
        both.join(", ")
    );
    session.execute(&aside).await.map_err(failed)?;
    let counts = unchanged(planned, &stored);
    let rows = session.fetch_text(&format!("SELECT count(*), {counts} FROM pg_temp.rehearsal_changed"), 1).await;
    let counted = rows.map_err(failed)?.rows.into_iter().next().unwrap_or_default();
    let columns: Vec<String> = stored.iter().map(|column| column.sql()).collect();
    let from = stored.iter().enumerate().map(|(index, column)| {
        let change = planned.changes.iter().position(|change| change.column.name == column.name);
        change.map_or(format!("o{index}"), |index| format!("n{index}"))
    });
    let from: Vec<String> = from.collect();
    let back = format!(
        "DELETE FROM ONLY {name}; \
         INSERT INTO {name} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM pg_temp.rehearsal_changed; COMMIT",
        columns.join(", "),
        from.join(", ")
    );
    session.execute(&back).await.map_err(failed)?;
    let count =
        |index: usize| counted.get(index).and_then(|count| count.as_ref()?.parse::<u64>().ok()).unwrap_or_default();
    Ok(planned
        .changes
        .iter()
        .enumerate()
        .map(|(index, change)| Applied {
            column: format!("{known}.{}", change.column.name),
            rule: change.rule.describe(),
            rows: count(0),
            unchanged: count(index + 1),
        })
        .collect())
}

/// How many rows have the value that they had. Where there was neither a letter nor a digit, nothing was given
/// away, nor by a NaN; a truth value or a kind of its own may well become what it was.
fn unchanged(planned: &Planned, stored: &[&Column]) -> String {
    let counts: Vec<String> = planned
        .changes
        .iter()
        .enumerate()
        .map(|(new, change)| {
            let old = stored.iter().position(|column| column.name == change.column.name).unwrap_or_default();
            match &change.rule {
                Rule::Json { .. } => "0".to_owned(),
                Rule::Const(text) => {
                    format!("count(*) FILTER (WHERE o{old}::text = n{new}::text AND o{old}::text <> {})", literal(text))
                }
                _ => {
                    let telling = if change.column.kind == Kind::Numeric { "[[:digit:]]" } else { "[[:alnum:]]" };
                    format!("count(*) FILTER (WHERE o{old}::text = n{new}::text AND o{old}::text ~ '{telling}')")
                }
            }
        })
        .collect();
    counts.join(", ")
}

/// The server's own words may hold a value: only what is known of the schema is told.
fn failure(table: &str, stopped: Stopped) -> Error {
    let Stopped::Failed(source) = &stopped else {
        return Stopped::doing(format!("apply the rules of {table}"))(stopped);
    };
    let Some(database) = source.as_database_error() else {
        return Stopped::doing(format!("apply the rules of {table}"))(stopped);
    };
    let code = database.code().unwrap_or_default().into_owned();
    if code == DISK_FULL {
        return AnonymiseError::NoRoom { table: table.into() }.into();
    }
    let constraint = database.constraint().map(|name| format!(" `{name}`"));
    let what = match (code.as_str(), constraint) {
        ("23505", Some(name)) => format!("the unique index{name}: two rows became the same"),
        ("23514", Some(name)) => format!("the check constraint{name}"),
        ("23P01", Some(name)) => format!("the exclusion constraint{name}"),
        _ => return AnonymiseError::Failed { table: table.into(), code }.into(),
    };
    AnonymiseError::Broken { table: table.into(), what }.into()
}
