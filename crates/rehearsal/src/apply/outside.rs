//! A statement that PostgreSQL refuses in a transaction. What it left behind, if it was stopped
//! before, is looked up in the catalog.

use std::time::Instant;

use super::failure::{StatementError, stopped_at};
use super::file::Applier;
use super::index::{self, Trouble};
use super::limits::Unsure;
use super::stepwise::Figures;
use super::waiting::Waiting;
use super::{detach, reindex};
use crate::error::{Error, Result};
use crate::event::{EventKind, milliseconds};
use crate::plan::PlannedFile;
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
    let rows = match execute(applier, file, statement, action, begun).await {
        Ok(rows) => rows,
        Err(Trouble { stopped, advice }) => {
            if matches!(&stopped, Stopped::Failed(error) if error.as_database_error().is_some()) {
                // The server has said no: nothing is unclear about it.
                let _ = place.wait(applier.session, &statement.digest(), applier.run_id).await;
            }
            return Err(advised(stopped_at(file, statement, true)(stopped), advice));
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

fn advised(error: Error, advice: Option<String>) -> Error {
    match (error, advice) {
        (Error::Statement(error), Some(advice)) => Box::new(StatementError { detail: Some(advice), ..*error }).into(),
        (error, _) => error,
    }
}

async fn execute(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    action: &Action,
    begun: bool,
) -> Result<u64, Trouble> {
    let waits = action.waits();
    let place = format!("{}:{}", file.script.path.display(), statement.line);
    if begun && matches!(action, Action::Repeatable { .. }) {
        applier.events.info(format!("{place} was begun before, and is run again: that does no harm"));
    }
    let lock_timeout = applier.limits.lock_timeout_outside(action).as_millis();
    let limits = format!(
        "SET lock_timeout = {lock_timeout}; SET statement_timeout = {}",
        applier.limits.concurrently_timeout.as_millis()
    );
    // A statement of its own: together they would be one implicit transaction.
    applier.session.execute(&limits).await?;
    let rows = if waits {
        let waiting = Waiting::new(applier.session, place, applier.events);
        waiting.foretell(applier.session).await?;
        waiting.during(act(applier, statement, action, begun)).await
    } else {
        act(applier, statement, action, begun).await
    }?;
    applier.session.reset_limits().await?;
    Ok(rows)
}

async fn act(applier: &mut Applier<'_>, statement: &Statement, action: &Action, begun: bool) -> Result<u64, Trouble> {
    let rows = match action {
        Action::CreateIndex(build) => return index::create(applier, statement, build, begun).await,
        Action::DropIndex { name } => index::remove(applier, statement, name, begun).await,
        Action::Reindex(of) => reindex::run(applier, statement, of).await,
        Action::DetachPartition { table, partition } => detach::run(applier, statement, table, partition, begun).await,
        Action::Repeatable { .. } | Action::Unknown { .. } => {
            applier.session.execute(&statement.sql).await.map(|done| done.rows_affected())
        }
    };
    Ok(rows?)
}
