//! Trying again after a lock could not be had.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::blockers::Blockers;
use super::limits::Limits;
use crate::error::{Error, Result};
use crate::event::Emitter;
use crate::postgres::BusyError;
use crate::postgres::query::sqlstate;

/// How much a lock timeout grows from one try to the next.
const GROWTH: f64 = 1.25;

/// The pause between two tries, as a multiple of the lock timeout: whoever queued behind us gets
/// through in the meantime.
const PAUSE: f64 = 1.5;

/// Whether the same transaction may well succeed a moment later: lock_not_available,
/// deadlock_detected, serialization_failure.
#[must_use]
pub fn is_transient(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("55P03" | "40P01" | "40001"))
}

/// What opens a transaction, up to where the next statement begins.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// As it is sent.
    pub sql: String,
    /// How many statements it is.
    pub statements: usize,
}

/// Counts tries. There is never a last one without a limit.
pub struct Tries {
    limits: Limits,
    lock_timeout: Duration,
    /// Who stood in the way of the last try, when it could be seen.
    pub(super) blockers: Blockers,
    tried: u32,
    deadline: Instant,
}

impl Tries {
    /// Begins to count.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            lock_timeout: limits.lock_timeout,
            limits: limits.clone(),
            tried: 0,
            blockers: Blockers::default(),
            deadline: Instant::now() + limits.lock_budget,
        }
    }

    /// The `lock_timeout` of the try at hand.
    #[must_use]
    pub fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    /// Opens a transaction under the time limits of the try at hand.
    #[must_use]
    pub fn begin(&self) -> String {
        format!("BEGIN; {}", self.local_limits())
    }

    /// The same, with more to come in the same message.
    #[must_use]
    pub(super) fn opening(&self) -> Opening {
        let sql = format!("{}; ", self.begin());
        // None of them has a semicolon inside.
        let statements = sql.matches(';').count();
        Opening { sql, statements }
    }

    /// The time limits of the try at hand, for the transaction that is open.
    #[must_use]
    pub fn local_limits(&self) -> String {
        format!(
            "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}",
            self.lock_timeout.as_millis(),
            self.limits.statement_timeout.as_millis()
        )
    }

    /// How many tries have failed.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.tried
    }

    /// Says that a try failed at `place` (file and line), and waits for the next one.
    ///
    /// # Errors
    /// [`BusyError::LockTimeout`] when there is none left, [`Error::Interrupted`].
    pub async fn next(&mut self, place: &str, events: &Emitter, cancel: &CancellationToken) -> Result<()> {
        self.tried += 1;
        // Jitter: two that got into each other's way must not meet again.
        let pause = self.lock_timeout.mul_f64(PAUSE * (0.5 + fastrand::f64()));
        let blockers = self.blockers.take();
        if self.tried >= self.limits.lock_tries || Instant::now() + pause > self.deadline {
            return Err(BusyError::LockTimeout { place: place.into(), tries: self.tried, blockers }.into());
        }
        let blocked = if blockers.is_empty() { String::new() } else { format!(", blocked by {blockers}") };
        events.info(format!(
            "{place}: no lock within {} ms{blocked}; trying again ({} of {})",
            self.lock_timeout.as_millis(),
            self.tried + 1,
            self.limits.lock_tries
        ));
        self.lock_timeout = self.lock_timeout.mul_f64(GROWTH).min(self.limits.highest_lock_timeout());
        let ready = async { tokio::join!(tokio::time::sleep(pause), self.blockers.be_ready()) };
        tokio::select! {
            ((), ()) = ready => Ok(()),
            () = cancel.cancelled() => Err(Error::Interrupted),
        }
    }
}
