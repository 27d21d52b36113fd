//! A trial of the rules on values that are known: one row of each table, its texts replaced by random ones, goes
//! the same way as all others, and none of those texts may be anywhere in the dump of it.
//!
//! It is a database of its own: in the copy itself the planted rows would stay.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::apply;
use super::catalog::Kind;
use super::coverage::{Change, Plan};
use super::failure::AnonymiseError;
use super::key::Key;
use super::rule::Rule;
use super::scan;
use crate::error::Result;
use crate::event::Emitter;
use crate::postgres::identifier::{literal, quote};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::tools::{Invocation, Tools};
use crate::target::Target;

/// Characters of a planted text. Of 36 letters and digits, so many are there by no chance (a birthday among 2^62);
/// and so few that a rule which only cuts the end off would leave one whole.
const TOKEN: u32 = 12;

/// The script's name, in the run's own temporary folder.
const SCRIPT: &str = "canaries.sql";

/// Which texts a check allows does not matter here: the planted ones must be taken.
const WITHOUT_CHECKS: &str = "\
    DO $do$ DECLARE one record; BEGIN \
        FOR one IN SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname) AS sql \
            FROM pg_constraint k WHERE contype = 'c' AND conrelid <> 0 AND coninhcount = 0 AND NOT EXISTS ( \
                SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = k.conrelid AND d.deptype = 'e') \
        LOOP EXECUTE one.sql; END LOOP; \
        FOR one IN SELECT format('ALTER DOMAIN %s DROP CONSTRAINT %I CASCADE', contypid::regtype, conname) AS sql \
            FROM pg_constraint WHERE contype = 'c' AND contypid <> 0 AND connamespace <> 'information_schema'::regnamespace \
        LOOP EXECUTE one.sql; END LOOP; \
    END $do$";

/// What was tried.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// How many columns had a planted text.
    pub columns: usize,
    /// Columns in which none could be planted, although their table has rows.
    pub without: Vec<String>,
}

/// A planted text, and where.
struct Canary {
    needle: String,
    column: String,
}

/// Goes through it on a database that is thrown away.
pub(super) async fn run(
    database: &Target,
    plan: &Plan,
    key: &Key,
    tools: &Tools,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<Trial> {
    let mut session = Session::connect(database, "anonymise", cancel).await?;
    let installed = apply::install(&mut session, key).await?;
    session.execute(WITHOUT_CHECKS).await.map_err(doing())?;
    let mut trial = Trial::default();
    let mut canaries = Vec::new();
    for planned in &plan.tables {
        let table = planned.table.sql();
        let others = format!("DELETE FROM ONLY {table} WHERE ctid <> (SELECT ctid FROM ONLY {table} LIMIT 1)");
        session.execute(&others).await.map_err(doing())?;
        for change in planned.changes.iter().filter(|change| holds_text(change)) {
            let column = format!("{}.{}", planned.table.name, change.column.name);
            let token = token();
            let planted = match planted(change, &token) {
                Some(value) => {
                    let sql = format!(
                        "UPDATE ONLY {table} SET {} = {value}::{}",
                        quote(&change.column.name),
                        change.column.type_name
                    );
                    session.execute(&sql).await
                }
                None => {
                    trial.without.push(column);
                    continue;
                }
            };
            match planted {
                Ok(done) if done.rows_affected() == 0 => {}
                Ok(_) => {
                    let needle = if change.column.kind == Kind::Bytes {
                        crate::postgres::schema::hex(token.as_bytes())
                    } else {
                        token
                    };
                    canaries.push(Canary { needle, column });
                }
                // An index or a generated column may not take it. That is told, and no pass.
                Err(Stopped::Failed(error)) if error.as_database_error().is_some() => trial.without.push(column),
                Err(stopped) => return Err(doing()(stopped)),
            }
        }
    }
    apply::apply(&mut session, plan, &Emitter::default()).await?;
    apply::uninstall(&mut session, installed).await?;
    session.close().await;
    let script = folder.join(SCRIPT);
    dump(database, tools, folder, &script, cancel).await?;
    trial.columns = canaries.len();
    let needles = canaries.iter().map(|canary| canary.needle.clone()).collect();
    let finds = scan::scan_and_remove(script, needles, cancel.clone()).await?;
    let told = finds
        .into_iter()
        .map(|(needle, place)| format!("what was planted in {} is in {place}", canaries[needle].column));
    let found: Vec<String> = told.collect();
    if found.is_empty() { Ok(trial) } else { Err(AnonymiseError::Leak { found }.into()) }
}

fn doing() -> impl FnOnce(Stopped) -> crate::Error {
    Stopped::doing("try the rules on planted values")
}

fn holds_text(change: &Change) -> bool {
    change.column.kind.is_text() || matches!(change.column.kind, Kind::Json | Kind::Jsonb | Kind::Bytes)
}

fn token() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(TOKEN as usize).collect::<String>().to_lowercase()
}

/// The value that is planted, as SQL; nothing where there is no room for one.
fn planted(change: &Change, token: &str) -> Option<String> {
    if change.column.length.is_some_and(|room| room < TOKEN) {
        return None;
    }
    let text = literal(token);
    Some(match (&change.rule, change.column.kind) {
        (Rule::Json { paths, keep_others }, _) => {
            let start =
                if *keep_others { "'{}'::jsonb".to_owned() } else { format!("jsonb_build_object('planted', {text})") };
            let mut with_rule = paths.iter().filter(|(_, rule)| *rule != Rule::Keep).peekable();
            if *keep_others {
                with_rule.peek()?;
            }
            with_rule.fold(start, |made, (path, _)| {
                let path: Vec<String> = path.iter().map(|part| literal(part)).collect();
                format!("rehearsal_anonymise.put({made}, ARRAY[{}], to_jsonb({text}::text))", path.join(", "))
            })
        }
        (_, Kind::Json | Kind::Jsonb) => format!("jsonb_build_object('planted', {text})"),
        (_, Kind::Bytes) => format!("convert_to({text}, 'UTF8')"),
        _ => text,
    })
}

/// As [`crate::backup::dump`] does it: without statistics, which hold samples of values, and which pg_dump adds only
/// when it is told to (18 and later).
async fn dump(
    database: &Target,
    tools: &Tools,
    folder: &Path,
    script: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    let arguments = [
        format!("--file={}", script.display()),
        "--encoding=UTF8".to_owned(),
        "--no-sync".to_owned(),
        "--no-password".to_owned(),
    ];
    let invocation = Invocation {
        program: "pg_dump",
        arguments: &arguments,
        target: database,
        purpose: "anonymise",
        folder: Some(folder),
        list: None,
    };
    tools.run(&invocation, cancel).await.map(drop)
}
