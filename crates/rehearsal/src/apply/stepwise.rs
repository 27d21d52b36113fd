//! A file statement by statement, each with its row in the journal, so that a run that was stopped
//! anywhere can be taken up.
//!
//! The history row is there from the beginning with `success = false`: sqlx then refuses to touch
//! the database ("partially applied") instead of running the same file a second time beside us.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::batched::{key, pauses, walk};
use super::blockers::Watched;
use super::failure::stopped_at;
use super::file::Applier;
use super::outside;
use super::retry::{Tries, is_transient};
use crate::error::Result;
use crate::event::{BatchSlice, EventKind, Paused, StatementDone, milliseconds};
use crate::plan::{Direction, PlannedFile};
use crate::postgres::history::{self, Applied};
use crate::postgres::journal::{self, Place, State};
use crate::postgres::query::Stopped;
use crate::statement::{Class, Statement, summary};

/// How much of a statement an event carries.
const SUMMARY_CHARACTERS: usize = 120;

/// What a statement did.
pub(super) struct Figures {
    pub rows: u64,
    pub batches: Option<u64>,
    pub longest_batch: Option<Duration>,
    pub held_up: Option<u64>,
    pub course: Vec<BatchSlice>,
    pub pauses: Vec<Paused>,
    pub retries: u32,
    pub already_done: bool,
}

impl Figures {
    pub(super) fn of(rows: u64, retries: u32) -> Self {
        Self {
            rows,
            batches: None,
            longest_batch: None,
            held_up: None,
            course: Vec::new(),
            pauses: Vec::new(),
            retries,
            already_done: false,
        }
    }

    fn passed_over(rows: u64) -> Self {
        Self { already_done: true, ..Self::of(rows, 0) }
    }
}

pub(super) async fn run(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<()> {
    let began = Instant::now();
    look_at_batches(applier, file).await?;
    open(applier, file).await?;
    for statement in &file.script.statements {
        let began = Instant::now();
        let outcome = run_statement(applier, file, statement).await;
        let heard = applier.session.heard();
        let figures = match outcome {
            Ok(figures) => figures,
            Err(error) => {
                applier.tell_heard(file, statement, heard);
                return Err(error);
            }
        };
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
            held_up: figures.held_up,
            course: figures.course,
            pauses: figures.pauses,
            retries: figures.retries,
            duration_ms: milliseconds(began),
            already_done: figures.already_done,
            together: None,
        }));
        applier.tell_heard(file, statement, heard);
    }
    if file.script.statements.iter().any(Statement::may_set) {
        applier.session.restore().await.map_err(Stopped::doing("put the session's settings back"))?;
    }
    let table = applier.history_table;
    let closing = match file.direction {
        Direction::Up => history::set_success(applier.session, table, file.version, true, Some(began.elapsed())).await,
        Direction::Down => history::delete(applier.session, table, file.version).await,
    };
    closing.map_err(Stopped::doing(format!("record version {}", file.version)))
}

/// Refuses what cannot carry batches while nothing is recorded yet. Statements further down may be about
/// a table or an index that those before them make: they are looked at when it is their turn.
async fn look_at_batches(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<()> {
    let batched = |statement: &Statement| matches!(statement.class, Class::Batched(_));
    if let Some(window) = applier.limits.batch_window.as_ref().filter(|_| file.script.statements.iter().any(batched)) {
        pauses::hour(applier.session, window).await?;
    }
    let done = match file.resumes {
        true => journal::done(applier.session, file.version, file.direction)
            .await
            .map_err(Stopped::doing("read the journal"))?,
        false => BTreeMap::new(),
    };
    // What is done may have lost its table to a statement behind it.
    for statement in file.script.statements.iter().filter(|statement| !done.contains_key(&statement.number)) {
        let Class::Batched(batch) = &statement.class else { break };
        key::read(applier, file, statement, batch).await?;
    }
    Ok(())
}

/// Records that the file has begun. A first pass forgets what an earlier, finished one wrote.
async fn open(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<()> {
    let doing = || Stopped::doing(format!("record that version {} has begun", file.version));
    let session = &mut *applier.session;
    if file.resumes {
        tell_where_it_stands(applier, file).await.map_err(doing())?;
        let session = &mut *applier.session;
        if file.direction == Direction::Up {
            history::set_checksum(session, applier.history_table, file.version, &file.checksum)
                .await
                .map_err(doing())?;
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
        Direction::Down => history::set_success(session, applier.history_table, file.version, false, None).await,
    }
    .map_err(doing())?;
    // The first statement's journal row comes with it: a history row that is not finished always has a
    // journal that says in which direction.
    if let Some(first) = file.script.statements.first() {
        place(file, first).wait(session, &first.digest(), applier.run_id).await.map_err(doing())?;
    }
    session.execute("COMMIT").await.map_err(doing())?;
    Ok(())
}

/// What the journal says of a file that stopped half-way, and what follows from it.
async fn tell_where_it_stands(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<(), Stopped> {
    let done = journal::done(applier.session, file.version, file.direction).await?;
    let statements = &file.script.statements;
    let is_done =
        |statement: &&Statement| done.get(&statement.number).is_some_and(|digest| *digest == statement.digest());
    let next = match statements.iter().find(|statement| !is_done(statement)) {
        Some(next) => format!("going on at {}:{}", file.script.path.display(), next.line),
        None => "only its history row is left to write".to_owned(),
    };
    let (done, all) = (statements.iter().filter(is_done).count(), statements.len());
    let version = file.version;
    applier.events.info(format!("version {version} stopped half-way: {done} of {all} statements are done; {next}"));
    Ok(())
}

pub(super) fn place(file: &PlannedFile, statement: &Statement) -> Place {
    Place {
        version: file.version,
        direction: file.direction,
        statement: i32::try_from(statement.number).unwrap_or(i32::MAX),
    }
}

async fn run_statement(applier: &mut Applier<'_>, file: &PlannedFile, statement: &Statement) -> Result<Figures> {
    let place = place(file, statement);
    let doing = || Stopped::doing("read the journal");
    let entry = place.read(applier.session).await.map_err(doing())?;
    let same = entry.filter(|entry| entry.digest == statement.digest());
    if let Some(entry) = same.as_ref().filter(|entry| entry.state == State::Done) {
        if statement.only_sets() {
            // It was done in a session that is gone.
            applier.session.execute(&statement.sql).await.map_err(stopped_at(file, statement, true))?;
            applier.session.reset_limits().await.map_err(Stopped::doing("put the limits back"))?;
        }
        return Ok(Figures::passed_over(entry.rows));
    }
    match &statement.class {
        Class::Batched(batch) => walk::run(applier, file, statement, batch, &place, same).await,
        Class::Transactional => transactional(applier, file, statement, &place).await,
        Class::NonTransactional(action) => outside::run(applier, file, statement, action, &place, same).await,
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
            Ok(rows) => {
                if statement.may_set() {
                    applier.session.reset_limits().await.map_err(Stopped::doing("put the limits back"))?;
                }
                return Ok(Figures::of(rows, tries.failed()));
            }
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
    if statement.may_set() {
        session.execute(&tries.local_limits()).await?;
    }
    place.start(session, &statement.digest(), applier.run_id, None).await?;
    place.finish(session, rows).await?;
    applier.look_at_locks().await;
    applier.session.execute("COMMIT").await?;
    Ok(rows)
}
