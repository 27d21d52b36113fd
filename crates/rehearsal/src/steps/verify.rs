//! Runs the checks that apply, and compares what must not have changed.

use async_trait::async_trait;

use super::checking;
use super::observe;
use super::step::{Step, StepReport};
use crate::check::{CheckError, Severity};
use crate::context::{Context, Observation};
use crate::error::Result;
use crate::event::{CheckOutcome, EventKind};
use crate::postgres::contents::{self, Contents};
use crate::postgres::history::History;
use crate::postgres::session::Session;
use crate::postgres::{catalog, query::Stopped};
use crate::report::format::plural;
use crate::schema_change;

/// See the module.
pub struct Verify;

#[async_trait]
impl Step for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn title(&self) -> &'static str {
        "run the checks and compare with before"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect_and_tell("verify").await?;
        let outcome = verify(cx, &mut session).await;
        session.close().await;
        outcome
    }
}

/// Of more objects than this that have become something else nobody reads: they are counted.
const OBJECTS_TOLD: usize = 500;

async fn verify(cx: &mut Context, session: &mut Session) -> Result<StepReport> {
    let history = History::read(session, &cx.workspace.config.history_table).await?;
    // Files and history must agree, or the checks speak of something else.
    crate::plan::up(&cx.workspace.migrations, &history, None)?;
    tell_schema(cx, session, history.latest_finished().unwrap_or(0)).await?;
    session.go_read_only().await.map_err(Stopped::doing("go read-only"))?;
    let before = cx.before.as_ref();
    if let Some(origin) = before.and_then(|before| before.origin.as_ref()) {
        cx.events.info(format!("compared with {origin}"));
    }
    let timeout = cx.workspace.config.limits.check_timeout;
    let (mut failed, mut warned, mut passed, mut reported) = (Vec::new(), Vec::new(), 0u64, 0u64);
    for check in &cx.workspace.checks {
        if !check.applies(|version| history.is_applied(version)) {
            continue;
        }
        let finding = checking::run(session, check, before, timeout).await?;
        match (finding.done.outcome, check.severity) {
            (CheckOutcome::Passed, _) => passed += 1,
            (CheckOutcome::Reported, _) => reported += 1,
            (CheckOutcome::Failed, Severity::Error) => failed.push(check.name.clone()),
            (CheckOutcome::Failed, Severity::Warn) | (CheckOutcome::NotJudged, _) => warned.push(check.name.clone()),
        }
        cx.events.emit(EventKind::Check(finding.done));
    }
    for index in catalog::invalid_indexes(session).await? {
        cx.events.warn(format!("index {index} is INVALID: the planner does not use it, and it costs every write"));
        warned.push(format!("INVALID index {index}"));
    }
    if let Some(before) = before {
        compare_contents(cx, before).await?;
    }
    if !failed.is_empty() {
        let total = failed.len() + warned.len() + usize::try_from(passed + reported).unwrap_or(usize::MAX);
        return Err(CheckError::Failed { failed, total }.into());
    }
    let summary = format!("{} passed, {reported} reported", plural(passed, "check"));
    if warned.is_empty() {
        return Ok(StepReport::done(summary));
    }
    Ok(StepReport::warned(format!("{summary}, to look at: {}", warned.join(", "))))
}

/// Tells what has become of the schema, where nobody else changes it and `audit` has looked at it: once for each
/// version, as a later pass sees the same.
async fn tell_schema(cx: &mut Context, session: &mut Session, version: i64) -> Result<()> {
    if cx.before.as_ref().is_none_or(|before| before.schema.is_none()) || !cx.schema_told.insert(version) {
        return Ok(());
    }
    let table = catalog::whole_name(session, &cx.workspace.config.history_table).await?;
    let reader = cx.connect_to_read("verify").await?;
    let after = observe::schema(cx, &reader, &table).await?;
    reader.close().await;
    let Some(before) = cx.before.as_ref().and_then(|before| before.schema.as_ref()) else { return Ok(()) };
    let mut changes = schema_change::between(before, &after);
    let more = changes.len().saturating_sub(OBJECTS_TOLD);
    changes.truncate(OBJECTS_TOLD);
    if more > 0 {
        cx.events.info(format!("{} more of the schema have become something else", plural(more as u64, "object")));
    }
    cx.events.emit(EventKind::Schema { changes });
    Ok(())
}

/// Tells which tables hold something else than before, in the columns that they had before. What a
/// migration writes on purpose shows here as well, so this is told and not judged.
async fn compare_contents(cx: &Context, before: &Observation) -> Result<()> {
    let Some(earlier) = &before.contents else { return Ok(()) };
    let mut session = cx.connect_to_read("verify").await?;
    let now: Contents = contents::read_all(&mut session, &before.columns).await?;
    session.close().await;
    let (mut equal, mut changed, mut gone) = (0u64, Vec::new(), Vec::new());
    for (table, fingerprint) in earlier {
        match now.get(table) {
            Some(other) if other == fingerprint => equal += 1,
            Some(_) => changed.push(table.to_string()),
            None => gone.push(table.to_string()),
        }
    }
    cx.events.emit(EventKind::Figure {
        name: "tables with the same rows and values in all columns they had before".into(),
        value: format!("{equal} of {}", earlier.len()),
    });
    for (what, tables) in [
        ("changed in columns that were there before", changed),
        ("gone, or without a column that was there before", gone),
    ] {
        if !tables.is_empty() {
            cx.events.info(format!("{what}: {}", tables.join(", ")));
        }
    }
    Ok(())
}
