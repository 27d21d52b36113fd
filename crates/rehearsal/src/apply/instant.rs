//! A file as one transaction that must be over at once: what a service does while it starts.
//!
//! Nobody queues behind us for longer than one lock timeout, and the whole start is given little time.
//! What does not fit is rolled back, and somebody runs it as a release.

use std::time::Duration;

use tokio::time::Instant;

use super::blockers::{Blockers, Watched};
use super::failure::stopped_at;
use super::retry::is_transient;
use crate::error::{Error, Result};
use crate::plan::PlannedFile;
use crate::postgres::history::{self, Applied};
use crate::postgres::query::{Stopped, sqlstate};
use crate::postgres::session::Session;
use crate::statement::Statement;

/// How long each try waits for a lock at the most; a file may ask for less. Requests that queue behind it wait as long: a pause of a fifth of a
/// second is below what their callers' time limits are.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// How long one start may spend on applying, all files and all tries together: the second that the runbook
/// of the default profile allows.
pub const BUDGET: Duration = Duration::from_secs(1);

/// The pause between two tries: whoever queued behind us gets through meanwhile. Half to one and a half of
/// it, so that two that got into each other's way do not meet again.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a file was not applied, although it may be: what it waited for, or that it was too slow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInTime {
    /// The line of the statement that did not fit, from 1.
    pub line: usize,
    /// A phrase for people.
    pub reason: String,
}

/// Runs a file and records it, or leaves nothing of it behind. `deadline` is that of the whole start.
///
/// # Errors
/// A statement that fails for another reason than time; a connection that is lost.
pub async fn run(
    session: &mut Session,
    file: &PlannedFile,
    history_table: &str,
    deadline: Instant,
) -> Result<Option<NotInTime>> {
    let (mut tries, mut blockers) = (0u32, Blockers::default());
    let patience = file.script.limits.lock_timeout.map_or(LOCK_TIMEOUT, |own| own.min(LOCK_TIMEOUT));
    loop {
        tries += 1;
        let Err((statement, stopped)) = attempt(session, file, history_table, deadline, patience, &mut blockers).await
        else {
            return Ok(None);
        };
        let Stopped::Failed(error) = &stopped else { return Err(placed(file, statement, stopped)) };
        // When the connection is gone there is nothing to roll back, and this fails as well.
        let _ = session.execute("ROLLBACK").await;
        let line = statement.map_or(1, |statement| statement.line);
        if is_transient(error) {
            let pause = PAUSE.mul_f64(0.5 + fastrand::f64());
            if Instant::now() + pause < deadline {
                let ready = tokio::time::timeout(pause, blockers.be_ready());
                let _ = tokio::join!(tokio::time::sleep(pause), ready);
                continue;
            }
            let blockers = blockers.take();
            let by = if blockers.is_empty() { String::new() } else { format!(", blocked by {blockers}") };
            let reason = format!("no lock within {tries} tries of {} ms{by}", patience.as_millis());
            return Ok(Some(NotInTime { line, reason }));
        }
        // query_canceled: by our own limit, whoever else may cancel a statement of a starting service.
        if sqlstate(error).as_deref() == Some("57014") {
            let reason = format!("it takes longer than the {} ms that a start may take", BUDGET.as_millis());
            return Ok(Some(NotInTime { line, reason }));
        }
        return Err(placed(file, statement, stopped));
    }
}

fn placed(file: &PlannedFile, statement: Option<&Statement>, stopped: Stopped) -> Error {
    match statement {
        Some(statement) => stopped_at(file, statement, false)(stopped),
        None => Stopped::doing(format!("record version {}", file.version))(stopped),
    }
}

async fn attempt<'a>(
    session: &mut Session,
    file: &'a PlannedFile,
    history_table: &str,
    deadline: Instant,
    patience: Duration,
    blockers: &mut Blockers,
) -> Result<(), (Option<&'a Statement>, Stopped)> {
    let began = Instant::now();
    let recording = |stopped| (None, stopped);
    session.execute("BEGIN").await.map_err(recording)?;
    for statement in &file.script.statements {
        // Before each of them: the time that is left is less, and the file may have set limits of its own.
        session.execute(&limits(deadline, patience)).await.map_err(recording)?;
        let watched = Watched::new(session, patience);
        watched
            .during(blockers, session.execute(&statement.sql))
            .await
            .map_err(|stopped| (Some(statement), stopped))?;
    }
    if file.script.statements.iter().any(Statement::may_set) {
        // The history is found by the session's own search_path, and written by its own role.
        session.restore().await.map_err(recording)?;
    }
    session.execute(&limits(deadline, patience)).await.map_err(recording)?;
    let row = Applied {
        version: file.version,
        description: file.description.clone(),
        success: true,
        checksum: file.checksum.clone(),
    };
    history::insert_and_commit(session, history_table, &row, began.elapsed()).await.map_err(|stopped| {
        // A deferred constraint speaks up at the commit: the last statement is the nearest place.
        let statement = file.script.statements.last().filter(|_| !history::speaks_of_it(history_table, &stopped));
        (statement, stopped)
    })
}

fn limits(deadline: Instant, patience: Duration) -> String {
    // To PostgreSQL 0 is no limit at all.
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
    // Where both would fire at once, it must be the one that says that a lock was waited for.
    let lock = patience.as_millis().min(left * 9 / 10).max(1);
    format!("SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {left}")
}
