//! A file as one transaction, its history row included, tried again when a lock cannot be had.

use std::time::Instant;

use super::blockers::Watched;
use super::failure::stopped_in;
use super::file::Applier;
use super::retry::{Opening, Tries, is_transient};
use super::spot::Sent;
use crate::error::Result;
use crate::event::{EventKind, StatementDone, milliseconds};
use crate::plan::{Direction, PlannedFile};
use crate::postgres::history::{self, Applied};
use crate::postgres::notices::Heard;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::statement::{ClassLabel, Statement};
use crate::together::Together;

/// How much of a statement an event carries.
const SUMMARY_CHARACTERS: usize = 120;

/// Up to which size, in bytes, a file's first statement is sent behind the BEGIN, in one message: that spares a
/// small file a third of its round trips, and costs a copy of the statement.
const MOST_BEHIND_BEGIN: usize = 64 << 10;

/// Where in the file a try stopped.
struct Failure<'a> {
    statement: Option<&'a Statement>,
    sent: Sent<'a>,
    stopped: Stopped,
}

/// What is told of a statement, once it is committed.
struct Told<'a> {
    statement: &'a Statement,
    done: StatementDone,
    heard: Heard,
}

pub(super) async fn run(applier: &mut Applier<'_>, file: &PlannedFile) -> Result<()> {
    let mut tries = Tries::new(applier.limits);
    loop {
        let mut done = Vec::new();
        // What a try before this one said, it took back.
        let _ = applier.session.heard();
        let outcome = attempt(applier, file, &mut tries, &mut done).await;
        let heard = applier.session.heard();
        let Err(failure) = outcome else {
            // Only what was committed is told.
            for Told { statement, done, heard } in done {
                applier.events.emit(EventKind::Statement(done));
                applier.tell_heard(file, statement, heard);
            }
            // What was put off until the commit.
            if let Some(last) = file.script.statements.last() {
                applier.tell_heard(file, last, heard);
            }
            return Ok(());
        };
        if let Stopped::Failed(error) = &failure.stopped {
            // When the connection is gone there is nothing to roll back, and this fails as well.
            let _ = applier.session.execute("ROLLBACK").await;
            if is_transient(error) {
                let place = place(file, failure.statement);
                let cancel = applier.session.cancellation().clone();
                tries.next(&place, applier.events, &cancel).await?;
                continue;
            }
        }
        // Nothing of it is left, but what it said may explain why.
        for Told { statement, heard, .. } in done {
            applier.tell_heard(file, statement, heard);
        }
        if let Some(statement) = failure.statement {
            applier.tell_heard(file, statement, heard);
        }
        return Err(match failure.statement {
            Some(statement) => stopped_in(failure.sent, file, statement, false)(failure.stopped),
            None => Stopped::doing(format!("record version {}", file.version))(failure.stopped),
        });
    }
}

fn place(file: &PlannedFile, statement: Option<&Statement>) -> String {
    let line = statement.map_or(1, |statement| statement.line);
    format!("{}:{line}", file.script.path.display())
}

async fn attempt<'a>(
    applier: &mut Applier<'_>,
    file: &'a PlannedFile,
    tries: &mut Tries,
    done: &mut Vec<Told<'a>>,
) -> Result<(), Failure<'a>> {
    let recording = |stopped| Failure { statement: None, sent: Sent::Ours, stopped };
    let session = &mut *applier.session;
    let began = Instant::now();
    let mut opening = Some(tries.opening());
    for together in file.script.together() {
        let Some(statement) = together.statements.first() else { continue };
        if together.sql.len() > MOST_BEHIND_BEGIN
            && let Some(begin) = opening.take()
        {
            session.execute(&begin.sql).await.map_err(recording)?;
        }
        let began = Instant::now();
        let rows = send(session, opening.take(), together, tries).await?;
        if statement.may_set() {
            session.execute(&tries.local_limits()).await.map_err(recording)?;
        }
        let heard = session.heard();
        let figures = StatementDone {
            version: file.version,
            direction: file.direction,
            number: statement.number,
            line: statement.line,
            class: ClassLabel::Transactional,
            summary: together.summary(SUMMARY_CHARACTERS),
            rows,
            batches: None,
            longest_batch_ms: None,
            held_up: None,
            course: Vec::new(),
            pauses: Vec::new(),
            retries: tries.failed(),
            duration_ms: milliseconds(began),
            already_done: false,
            together: Some(together.statements.len()).filter(|count| *count > 1),
        };
        done.push(Told { statement, done: figures, heard });
    }
    if let Some(begin) = opening {
        session.execute(&begin.sql).await.map_err(recording)?;
    }
    applier.look_at_locks().await;
    let session = &mut *applier.session;
    if file.script.statements.iter().any(Statement::may_set) {
        // The history is found by the session's own search_path, and written by its own role.
        session.restore().await.map_err(recording)?;
        session.execute(&tries.local_limits()).await.map_err(recording)?;
    }
    // A deferred constraint speaks up at the commit: the last statement is the nearest place.
    let committing = |stopped| Failure { statement: file.script.statements.last(), sent: Sent::Ours, stopped };
    let recorded = match file.direction {
        Direction::Up => {
            let row = Applied {
                version: file.version,
                description: file.description.clone(),
                success: true,
                checksum: file.checksum.clone(),
            };
            history::insert_and_commit(session, applier.history_table, &row, began.elapsed()).await
        }
        Direction::Down => history::delete_and_commit(session, applier.history_table, file.version).await,
    };
    recorded.map_err(|stopped| {
        if history::speaks_of_it(applier.history_table, &stopped) { recording(stopped) } else { committing(stopped) }
    })
}

/// Sends statements, behind what opens the transaction if it is not open, and counts the rows that they touched.
async fn send<'a>(
    session: &mut Session,
    opening: Option<Opening>,
    together: Together<'a>,
    tries: &mut Tries,
) -> Result<u64, Failure<'a>> {
    let watched = Watched::new(session, tries.lock_timeout());
    if let (None, [statement]) = (&opening, together.statements) {
        let sent = watched.during(&mut tries.blockers, session.execute(&statement.sql)).await;
        let failed = |stopped| Failure { statement: Some(statement), sent: Sent::AsWritten, stopped };
        return sent.map(|done| done.rows_affected()).map_err(failed);
    }
    let Opening { mut sql, statements: before } = opening.unwrap_or_default();
    let behind = sql.chars().count();
    sql.push_str(together.sql);
    let mut rows = Vec::with_capacity(before + together.statements.len());
    let sent = watched.during(&mut tries.blockers, session.execute_each(&sql, &mut rows)).await;
    sent.map(|()| rows.iter().sum()).map_err(|stopped| {
        // What comes after as many as were done is the one that was not.
        let done = rows.len().saturating_sub(before);
        let statement = together.statements.get(done).or(together.statements.last());
        Failure { statement, sent: Sent::Together { together, behind }, stopped }
    })
}
