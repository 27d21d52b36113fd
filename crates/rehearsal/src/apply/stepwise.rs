//! A file statement by statement, each with its row in the journal, so that a run that was stopped
//! anywhere can be taken up.
//!
//! The history row is there from the beginning with `success = false`: sqlx then refuses to touch
//! the database ("partially applied") instead of running the same file a second time beside us.

use std::time::{Duration, Instant};

use super::batch;
use super::blockers::Watched;
use super::failure::stopped_at;
use super::file::Applier;
use super::retry::{Tries, is_transient};
use crate::error::Result;
use crate::event::{EventKind, StatementDone, milliseconds};
use crate::plan::{Direction, PlannedFile};
use crate::postgres::catalog;
use crate::postgres::history::{self, Applied};
use crate::postgres::journal::{self, Place};
use crate::postgres::locks::Lock;
use crate::postgres::query::Stopped;
use crate::statement::{Action, Class, Statement, summary};

/// How much of a statement an event carries.
const SUMMARY_CHARACTERS: usize = 120;

/// What a statement did.
pub(super) struct Figures {
    pub rows: u64,
    pub batches: Option<u64>,
    pub longest_batch: Option<Duration>,
    pub retries: u32,
    pub already_done: bool,
}

impl Figures {
    pub(super) fn of(rows: u64, retries: u32) -> Self {
        Self { rows, batches: None, longest_batch: None, retries, already_done: false }
    }

    fn passed_over(rows: u64) -> Self {
        Self { already_done: true, ..Self::of(rows, 0) }
    }
}

pub(super) async fn run(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<()> {
    let began = Instant::now();
    look_at_keys(applier, file).await?;
    open(applier, file).await?;
    for statement in &file.script.statements {
        let began = Instant::now();
        let figures = run_statement(applier, file, statement).await?;
        applier.events.emit(EventKind::Statement(StatementDone {
            version: file.version,
            direction: file.direction,
            number: statement.number,
            line: statement.line,
            class: statement.class.label(),
            summary: summary(&statement.sql, SUMMARY_CHARACTERS),
            rows: figures.rows,
            batches: figures.batches,
            longest_batch_ms: figures.longest_batch.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            retries: figures.retries,
            duration_ms: milliseconds(began),
            already_done: figures.already_done,
        }));
    }
    let table = applier.history_table;
    let closing = match file.direction {
        Direction::Up => {
            history::set_success(applier.session, table, file.version, true, Some(began.elapsed())).await
        }
        Direction::Down => history::delete(applier.session, table, file.version).await,
    };
    closing.map_err(Stopped::doing(format!("record version {}", file.version)))
}

/// Refuses a key that cannot carry batches while nothing is recorded yet. Statements further down may
/// be about a table or an index that those before them make: they are looked at when it is their turn.
async fn look_at_keys(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<()> {
    for statement in &file.script.statements {
        let Class::Batched(batch) = &statement.class else { break };
        batch::key(applier, file, statement, batch).await?;
    }
    Ok(())
}

/// Records that the file has begun. A first pass forgets what an earlier, finished one wrote.
async fn open(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<()> {
    let doing = || Stopped::doing(format!("record that version {} has begun", file.version));
    let session = &mut *applier.session;
    if file.resumes {
        applier.events.info(format!(
            "version {} stopped half-way; going on from the journal",
            file.version
        ));
        if file.direction == Direction::Up {
            history::set_checksum(session, applier.history_table, file.version, &file.checksum).await.map_err(doing())?;
        }
        return Ok(());
    }
    session.execute("BEGIN").await.map_err(doing())?;
    journal::forget(session, file.version).await.map_err(doing())?;
    match file.direction {
        Direction::Up => {
            let row = Applied {
                version: file.version,
                description: file.description.clone(),
                success: false,
                checksum: file.checksum.clone(),
            };
            history::insert(session, applier.history_table, &row, None).await
        }
        Direction::Down => {
            history::set_success(session, applier.history_table, file.version, false, None).await
        }
    }
    .map_err(doing())?;
    // The intent of the first statement comes with it: a row that is not finished always has a
    // journal that says in which direction.
    if let Some(first) = file.script.statements.first() {
        place(file, first).start(session, &first.digest(), applier.run_id, None).await.map_err(doing())?;
    }
    session.execute("COMMIT").await.map_err(doing())?;
    Ok(())
}

pub(super) fn place(file: &PlannedFile, statement: &Statement) -> Place {
    Place {
        version: file.version,
        direction: file.direction,
        statement: i32::try_from(statement.number).unwrap_or(i32::MAX),
    }
}

async fn run_statement(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
) -> Result<Figures> {
    let place = place(file, statement);
    let doing = || Stopped::doing("read the journal");
    let entry = place.read(applier.session).await.map_err(doing())?;
    let same = entry.filter(|entry| entry.digest == statement.digest());
    if let Some(entry) = same.as_ref().filter(|entry| entry.done) {
        return Ok(Figures::passed_over(entry.rows));
    }
    match &statement.class {
        Class::Batched(batch) => batch::run(applier, file, statement, batch, &place, same).await,
        Class::Transactional => transactional(applier, file, statement, &place).await,
        Class::NonTransactional(action) => {
            let half_way = Stopped::doing("write the journal");
            place.start(applier.session, &statement.digest(), applier.run_id, None).await.map_err(half_way)?;
            // Whoever waits for sqlx's lock inside of pg_advisory_lock holds a snapshot, and
            // CONCURRENTLY waits for that snapshot: the lock must not be held across it.
            Lock::Sqlx.release(applier.session).await?;
            let began = Instant::now();
            let rows = outside(applier, file, statement, action, began).await;
            let rows = rows?;
            Lock::Sqlx.acquire(applier.session, applier.limits.run_lock_patience).await?;
            place.finish(applier.session, rows).await.map_err(Stopped::doing("write the journal"))?;
            Ok(Figures::of(rows, 0))
        }
    }
}

/// A statement that may be in a transaction: its journal row is part of it, so there is no moment
/// in which it is done and not recorded.
async fn transactional(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    place: &Place,
) -> Result<Figures> {
    let mut tries = Tries::new(applier.limits);
    loop {
        let stopped = match attempt(applier, statement, place, &mut tries).await {
            Ok(rows) => return Ok(Figures::of(rows, tries.failed())),
            Err(stopped) => stopped,
        };
        if let Stopped::Failed(error) = &stopped {
            // When the connection is gone there is nothing to roll back, and this fails as well.
            let _ = applier.session.execute("ROLLBACK").await;
            if is_transient(error) {
                let cancel = applier.session.cancellation().clone();
                let place = format!("{}:{}", file.script.path.display(), statement.line);
                tries.next(&place, applier.events, &cancel).await?;
                continue;
            }
        }
        return Err(stopped_at(file, statement, true)(stopped));
    }
}

async fn attempt(
    applier: &mut Applier<'_>,
    statement: &Statement,
    place: &Place,
    tries: &mut Tries,
) -> Result<u64, Stopped> {
    let session = &mut *applier.session;
    session.execute(&tries.begin()).await?;
    let watched = Watched::new(session, tries.lock_timeout());
    let rows = watched.during(&mut tries.blockers, session.execute(&statement.sql)).await?.rows_affected();
    place.start(session, &statement.digest(), applier.run_id, None).await?;
    place.finish(session, rows).await?;
    session.execute("COMMIT").await?;
    Ok(rows)
}

/// A statement that PostgreSQL refuses in a transaction: what it left behind, if it was stopped
/// before, is looked up in the catalog.
async fn outside(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    action: &Action,
    began: Instant,
) -> Result<u64> {
    // No lock_timeout: CONCURRENTLY waits for other transactions by its nature, and blocks nobody
    // meanwhile. The budget is on the whole.
    let limits = format!(
        "SET lock_timeout = 0; SET statement_timeout = {}",
        applier.limits.concurrently_timeout.as_millis()
    );
    let failed = |stopped| stopped_at(file, statement, true)(stopped);
    applier.session.execute(&limits).await.map_err(failed)?;
    let outcome = match action {
        Action::CreateIndex { name: Some(name), table } => {
            create_index(applier, statement, name, table, file.resumes).await
        }
        Action::DropIndex { name } => drop_index(applier, statement, name, file.resumes).await,
        Action::CreateIndex { name: None, .. } | Action::Other => {
            applier.session.execute(&statement.sql).await.map(|done| done.rows_affected())
        }
    };
    let rows = outcome.map_err(failed)?;
    applier.session.reset_limits().await.map_err(failed)?;
    applier.events.emit(EventKind::Figure {
        name: format!("{} line {}", file.script.path.display(), statement.line),
        value: format!("{} ms outside of a transaction", milliseconds(began)),
    });
    Ok(rows)
}

async fn create_index(
    applier: &mut Applier<'_>,
    statement: &Statement,
    name: &str,
    table: &str,
    resumes: bool,
) -> Result<u64, Stopped> {
    match catalog::index(applier.session, name, table).await? {
        Some(index) if !index.valid => {
            applier.events.warn(format!(
                "an INVALID index {} was left by an earlier try; dropping it and building it again",
                index.name
            ));
            applier.session.execute(&format!("DROP INDEX CONCURRENTLY {}", index.name)).await?;
        }
        // Only our own unfinished try may have built it; anybody else's is the server's to refuse.
        Some(index) if resumes => {
            applier.events.info(format!("index {} was built before the run stopped", index.name));
            return Ok(0);
        }
        _ => {}
    }
    let rows = applier.session.execute(&statement.sql).await?.rows_affected();
    match catalog::index(applier.session, name, table).await? {
        Some(index) if index.valid => Ok(rows),
        _ => Err(Stopped::Failed(sqlx::Error::Protocol(format!(
            "the statement ended without an error, but index {name} is not valid"
        )))),
    }
}

async fn drop_index(
    applier: &mut Applier<'_>,
    statement: &Statement,
    name: &str,
    resumes: bool,
) -> Result<u64, Stopped> {
    if resumes && catalog::index_by_name(applier.session, name).await?.is_none() {
        applier.events.info(format!("index {name} is gone already"));
        return Ok(0);
    }
    applier.session.execute(&statement.sql).await.map(|done| done.rows_affected())
}
