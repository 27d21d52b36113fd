//! A statement that PostgreSQL refuses in a transaction. What it left behind, if it was stopped
//! before, is looked up in the catalog.

use std::time::Instant;

use super::failure::{StatementError, stopped_at};
use super::file::Applier;
use super::limits::Unsure;
use super::stepwise::Figures;
use crate::error::Result;
use crate::event::{EventKind, milliseconds};
use crate::plan::PlannedFile;
use crate::postgres::catalog;
use crate::postgres::journal::{Entry, Place, State};
use crate::postgres::locks::Lock;
use crate::postgres::query::Stopped;
use crate::statement::{Action, Statement};

pub(super) async fn run(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    action: &Action,
    place: &Place,
    entry: Option<Entry>,
) -> Result<Figures> {
    let journalling = || Stopped::doing("write the journal");
    // Only this statement's own intent tells that it may have been run before.
    let begun = entry.is_some_and(|entry| entry.state == State::Started);
    if begun && matches!(action, Action::Unknown { .. }) {
        match applier.limits.unsure {
            Unsure::Ask => return Err(Box::new(StatementError::unsure(file, statement)).into()),
            Unsure::NotDone => {}
            Unsure::Done => {
                applier.events.warn(format!(
                    "{}:{} is taken as done, as told",
                    file.script.path.display(),
                    statement.line
                ));
                place.finish(applier.session, 0).await.map_err(journalling())?;
                return Ok(Figures::of(0, 0));
            }
        }
    }
    place.start(applier.session, &statement.digest(), applier.run_id, None).await.map_err(journalling())?;
    // Whoever waits for sqlx's lock inside of pg_advisory_lock holds a snapshot, and CONCURRENTLY
    // waits for that snapshot: the lock must not be held across it.
    Lock::Sqlx.release(applier.session).await?;
    let began = Instant::now();
    let rows = match execute(applier, statement, action, begun).await {
        Ok(rows) => rows,
        Err(stopped) => {
            if matches!(&stopped, Stopped::Failed(error) if error.as_database_error().is_some()) {
                // The server has said no: nothing is unclear about it.
                let _ = place.wait(applier.session, &statement.digest(), applier.run_id).await;
            }
            return Err(stopped_at(file, statement, true)(stopped));
        }
    };
    // Written before anything else is waited for: from here on it is done.
    place.finish(applier.session, rows).await.map_err(journalling())?;
    Lock::Sqlx.acquire(applier.session, applier.limits.run_lock_patience).await?;
    applier.events.emit(EventKind::Figure {
        name: format!("{} line {}", file.script.path.display(), statement.line),
        value: format!("{} ms outside of a transaction", milliseconds(began)),
    });
    Ok(Figures::of(rows, 0))
}

async fn execute(
    applier: &mut Applier<'_>,
    statement: &Statement,
    action: &Action,
    begun: bool,
) -> Result<u64, Stopped> {
    // CONCURRENTLY waits for other transactions by its nature, and blocks nobody meanwhile: the
    // budget is on the whole. Anything else must not make others queue behind it.
    let waits = match action {
        Action::CreateIndex { .. } | Action::DropIndex { .. } => true,
        Action::Repeatable { waits } | Action::Unknown { waits } => *waits,
    };
    let lock_timeout = if waits { 0 } else { applier.limits.highest_lock_timeout().as_millis() };
    let limits = format!(
        "SET lock_timeout = {lock_timeout}; SET statement_timeout = {}",
        applier.limits.concurrently_timeout.as_millis()
    );
    // A statement of its own: together they would be one implicit transaction.
    applier.session.execute(&limits).await?;
    let rows = match action {
        Action::CreateIndex { name: Some(name), table } => create_index(applier, statement, name, table, begun).await,
        Action::DropIndex { name } => drop_index(applier, statement, name, begun).await,
        Action::CreateIndex { name: None, .. } | Action::Repeatable { .. } | Action::Unknown { .. } => {
            applier.session.execute(&statement.sql).await.map(|done| done.rows_affected())
        }
    }?;
    applier.session.reset_limits().await?;
    Ok(rows)
}

async fn create_index(
    applier: &mut Applier<'_>,
    statement: &Statement,
    name: &str,
    table: &str,
    begun: bool,
) -> Result<u64, Stopped> {
    match catalog::index(applier.session, name, table).await? {
        Some(index) if !index.valid => {
            applier.events.warn(format!(
                "an INVALID index {} was left by an earlier try; dropping it and building it again",
                index.name
            ));
            applier.session.execute(&format!("DROP INDEX CONCURRENTLY {}", index.name)).await?;
        }
        // Only this statement's own unfinished try may have built it; anybody else's is the server's
        // to refuse.
        Some(index) if begun => {
            applier.events.info(format!("index {} was built before the run stopped", index.name));
            return Ok(0);
        }
        _ => {}
    }
    let rows = applier.session.execute(&statement.sql).await?.rows_affected();
    match catalog::index(applier.session, name, table).await? {
        Some(index) if index.valid => Ok(rows),
        _ => Err(Stopped::Unexpected(format!("the statement ended without an error, but index {name} is not valid"))),
    }
}

async fn drop_index(applier: &mut Applier<'_>, statement: &Statement, name: &str, begun: bool) -> Result<u64, Stopped> {
    if begun && catalog::index_by_name(applier.session, name).await?.is_none() {
        applier.events.info(format!("index {name} is gone already"));
        return Ok(0);
    }
    applier.session.execute(&statement.sql).await.map(|done| done.rows_affected())
}
