//! A statement that PostgreSQL refuses in a transaction. What it left behind, if it was stopped
//! before, is looked up in the catalog.

use std::time::{Duration, Instant};

use super::blockers::Watched;
use super::failure::{StatementError, stopped_at};
use super::file::Applier;
use super::index::{self, Trouble};
use super::limits::Unsure;
use super::retry::{Tries, is_transient};
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
    // What does no harm when it is run twice is tried again, as any other statement, when a lock cannot be had.
    let mut tries = matches!(action, Action::Repeatable { .. }).then(|| Tries::new(applier.limits));
    let done = loop {
        let done = execute(applier, file, statement, action, begun, tries.as_mut()).await;
        let Some(tries) = tries.as_mut().filter(|_| is_lock_trouble(&done)) else { break done };
        let cancel = applier.session.cancellation().clone();
        let at = format!("{}:{}", file.script.path.display(), statement.line);
        if let Err(error) = tries.next(&at, applier.events, &cancel).await {
            let _ = place.wait(applier.session, &statement.digest(), applier.run_id).await;
            return Err(error);
        }
    };
    let rows = match done {
        Ok(rows) => rows,
        Err(Trouble { stopped, advice }) => {
            if matches!(&stopped, Stopped::Failed(error) if has_done_nothing(action, error)) {
                let _ = place.wait(applier.session, &statement.digest(), applier.run_id).await;
            }
            return Err(advised(stopped_at(file, statement, true)(stopped), advice));
        }
    };
    // Written before anything else is waited for: from here on it is done.
    place.finish(applier.session, rows).await.map_err(journalling())?;
    let patience = applier.limits.run_lock_patience;
    Lock::Sqlx.acquire(applier.session, patience, applier.events.waits_for_run(patience)).await?;
    applier.events.emit(EventKind::Figure {
        name: format!("{} line {}", file.script.path.display(), statement.line),
        value: format!("{} ms outside of a transaction", milliseconds(began)),
    });
    Ok(Figures::of(rows, tries.map_or(0, |tries| tries.failed())))
}

fn is_lock_trouble(done: &Result<u64, Trouble>) -> bool {
    matches!(done, Err(Trouble { stopped: Stopped::Failed(error), .. }) if is_transient(error))
}

/// Whether the server has said no, and nothing is unclear about it. A procedure may have committed before it
/// failed: only what was refused before it began, as no part of its body could be, is known to have done nothing.
fn has_done_nothing(action: &Action, error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let by_its_body =
        error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_none_or(|error| error.r#where().is_some());
    !matches!(action, Action::Unknown { .. }) || !by_its_body
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
    tries: Option<&mut Tries>,
) -> Result<u64, Trouble> {
    let waits = action.waits();
    let place = format!("{}:{}", file.script.path.display(), statement.line);
    if begun && matches!(action, Action::Repeatable { .. }) {
        applier.events.info(format!("{place} was begun before, and is run again: that does no harm"));
    }
    let rows = if waits {
        limit(applier, applier.limits.lock_timeout_outside(action)).await?;
        let waiting = Waiting::new(applier.session, place, applier.events);
        waiting.foretell(applier.session).await?;
        waiting.during(act(applier, statement, action, begun)).await
    } else if let Some(tries) = tries {
        attempt(applier, statement, tries).await
    } else {
        limit(applier, applier.limits.lock_timeout_outside(action)).await?;
        act(applier, statement, action, begun).await
    }?;
    applier.session.reset_limits().await?;
    Ok(rows)
}

/// A `lock_timeout` of zero is none.
async fn limit(applier: &mut Applier<'_>, lock_timeout: Duration) -> Result<(), Stopped> {
    let limits = format!(
        "SET lock_timeout = {}; SET statement_timeout = {}",
        lock_timeout.as_millis(),
        applier.limits.concurrently_timeout.as_millis()
    );
    // A statement of its own: together they would be one implicit transaction.
    applier.session.execute(&limits).await.map(drop)
}

/// One try of what may be tried again; who is in its way is named.
async fn attempt(applier: &mut Applier<'_>, statement: &Statement, tries: &mut Tries) -> Result<u64, Trouble> {
    limit(applier, tries.lock_timeout()).await?;
    let watched = Watched::new(applier.session, tries.lock_timeout());
    let done = watched.during(&mut tries.blockers, applier.session.execute(&statement.sql)).await?;
    Ok(done.rows_affected())
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
