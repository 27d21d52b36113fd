//! A file as one transaction, its history row included, tried again when a lock cannot be had.

use std::time::Instant;

use super::blockers::Watched;
use super::failure::stopped_at;
use super::file::Applier;
use super::retry::{Tries, is_transient};
use crate::error::Result;
use crate::event::{EventKind, StatementDone, milliseconds};
use crate::plan::{Direction, PlannedFile};
use crate::postgres::history::{self, Applied};
use crate::postgres::notices::Heard;
use crate::postgres::query::Stopped;
use crate::statement::{ClassLabel, Statement, summary};

/// How much of a statement an event carries.
const SUMMARY_CHARACTERS: usize = 120;

/// Where in the file a try stopped.
struct Failure<'a> {
    statement: Option<&'a Statement>,
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
            Some(statement) => stopped_at(file, statement, false)(failure.stopped),
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
    let recording = |stopped| Failure { statement: None, stopped };
    let session = &mut *applier.session;
    let began = Instant::now();
    session.execute(&tries.begin()).await.map_err(recording)?;
    for statement in &file.script.statements {
        let began = Instant::now();
        let watched = Watched::new(session, tries.lock_timeout());
        let result = watched
            .during(&mut tries.blockers, session.execute(&statement.sql))
            .await
            .map_err(|stopped| Failure { statement: Some(statement), stopped })?;
        let heard = session.heard();
        let figures = StatementDone {
            version: file.version,
            direction: file.direction,
            number: statement.number,
            line: statement.line,
            class: ClassLabel::Transactional,
            summary: summary(&statement.sql, SUMMARY_CHARACTERS),
            rows: result.rows_affected(),
            batches: None,
            longest_batch_ms: None,
            held_up: None,
            pauses: Vec::new(),
            retries: tries.failed(),
            duration_ms: milliseconds(began),
            already_done: false,
        };
        done.push(Told { statement, done: figures, heard });
    }
    applier.look_at_locks().await;
    let session = &mut *applier.session;
    // A deferred constraint speaks up at the commit: the last statement is the nearest place.
    let committing = |stopped| Failure { statement: file.script.statements.last(), stopped };
    match file.direction {
        Direction::Up => {
            let row = Applied {
                version: file.version,
                description: file.description.clone(),
                success: true,
                checksum: file.checksum.clone(),
            };
            let recorded = history::insert_and_commit(session, applier.history_table, &row, began.elapsed()).await;
            recorded.map_err(|stopped| {
                if history::speaks_of_it(applier.history_table, &stopped) {
                    recording(stopped)
                } else {
                    committing(stopped)
                }
            })
        }
        Direction::Down => {
            history::delete(session, applier.history_table, file.version).await.map_err(recording)?;
            session.execute("COMMIT").await.map(drop).map_err(committing)
        }
    }
}
