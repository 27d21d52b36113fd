//! One run at a time, together with what sqlx does.
//!
//! Two session-level advisory locks: our own for the whole run, and sqlx's for what touches its
//! history. Both are polled with `pg_try_advisory_lock`: a session that *waits* inside
//! `pg_advisory_lock` holds a snapshot, and CREATE INDEX CONCURRENTLY waits for that snapshot.

use std::time::Duration;

use sqlx::Row;
use tokio::time::Instant;

use super::query::Stopped;
use super::session::Session;
use crate::error::{Error, Result};

/// Our own lock's id: the ASCII letters "rehearsa".
const OWN_LOCK: i64 = 0x7265_6865_6172_7361;

/// The id for databases that are being made: "restored".
const RESTORE_LOCK: i64 = 0x7265_7374_6f72_6564;

/// How long a run waits for another one before it gives up.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(30);

const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL_MOST: Duration = Duration::from_millis(500);

/// A wait that is longer is explained: a second is about what people let pass before they wonder (Nielsen, Usability
/// Engineering, 1993, chapter 5).
const UNEXPLAINED: Duration = Duration::from_secs(1);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// For the whole of a run that writes.
    Run,
    /// The one that `sqlx::migrate!().run()` takes.
    Sqlx,
    /// While databases are made beside others, or those of runs that were killed are removed.
    Beside,
}

/// Somebody else holds what is needed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusyError {
    /// An advisory lock was not to be had in time.
    #[error("another run is at work on {target}: {holder}")]
    Locked {
        /// The database.
        target: String,
        /// Who holds it.
        holder: String,
    },
    /// A table's lock was not to be had in time, over all tries.
    #[error("no lock within {tries} tries for {place}")]
    LockTimeout {
        /// File and line.
        place: String,
        /// How often it was tried.
        tries: u32,
        /// Who stood in the way, when it could be seen.
        blockers: String,
    },
}

impl BusyError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Locked { .. } => "wait until it has ended, then run the same command again".into(),
            Self::LockTimeout { blockers, .. } if blockers.is_empty() => {
                "look for long transactions in pg_stat_activity, then run the same command again".into()
            }
            Self::LockTimeout { blockers, .. } => {
                format!("in the way: {blockers}; end it or wait for it, then run the same command again")
            }
        }
    }
}

impl Lock {
    fn id(self, database: &str) -> i64 {
        match self {
            Self::Run => OWN_LOCK,
            Self::Beside => RESTORE_LOCK,
            // sqlx-postgres 0.9, migrate.rs, generate_lock_id.
            Self::Sqlx => 0x3d32_ad9e * i64::from(crc32fast::hash(database.as_bytes())),
        }
    }

    /// Takes the lock, polling until `patience` is over. Says for whom it waits, once, when that takes a while. Tells
    /// whether somebody else had it until then.
    ///
    /// # Errors
    /// [`BusyError::Locked`] that names the holder.
    pub async fn acquire(
        self,
        session: &mut Session,
        patience: Duration,
        say: impl FnOnce(String) + Send,
    ) -> Result<bool> {
        self.poll(session, patience, say, "SELECT pg_try_advisory_lock($1)").await
    }

    /// Takes it together with others who share it: none of them changes the schema, and whoever does has to
    /// wait for all of them. It goes with the session.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn share(
        self,
        session: &mut Session,
        patience: Duration,
        say: impl FnOnce(String) + Send,
    ) -> Result<bool> {
        self.poll(session, patience, say, "SELECT pg_try_advisory_lock_shared($1)").await
    }

    async fn poll(
        self,
        session: &mut Session,
        patience: Duration,
        say: impl FnOnce(String) + Send,
        attempt: &'static str,
    ) -> Result<bool> {
        let id = self.id(session.target().database());
        let began = Instant::now();
        let deadline = began + patience;
        let mut pause = POLL_FIRST;
        let mut waited = false;
        let mut say = Some(say);
        loop {
            let query = sqlx::query(attempt).bind(id);
            let rows = session.fetch_bound(query).await.map_err(Stopped::doing("take the advisory lock"))?;
            if rows.first().is_some_and(|row| row.get::<bool, _>(0)) {
                return Ok(waited);
            }
            waited = true;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let holder = holder(session, id).await?;
                return Err(BusyError::Locked { target: session.target().to_string(), holder }.into());
            }
            if let Some(say) = say.take_if(|_| began.elapsed() >= UNEXPLAINED) {
                say(holder(session, id).await?);
            }
            let cancel = session.cancellation().clone();
            tokio::select! {
                () = tokio::time::sleep(pause.min(left)) => {}
                () = cancel.cancelled() => return Err(Error::Interrupted),
            }
            pause = (pause * 2).min(POLL_MOST);
        }
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the connection is gone; then the server has given it back already.
    pub async fn release(self, session: &mut Session) -> Result<()> {
        let id = self.id(session.target().database());
        let query = sqlx::query("SELECT pg_advisory_unlock($1)").bind(id);
        session.execute_bound(query).await.map_err(Stopped::doing("release the advisory lock"))?;
        Ok(())
    }
}

async fn holder(session: &mut Session, id: i64) -> Result<String> {
    // pg_locks shows a bigint key as two halves with objsubid 1.
    let query = sqlx::query(
        "SELECT format('pid %s, %s, from %s, connected %s ago', a.pid, \
                coalesce(nullif(a.application_name, ''), 'unnamed'), coalesce(host(a.client_addr), 'a local socket'), \
                justify_interval(date_trunc('second', clock_timestamp() - a.backend_start))) \
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
           AND (l.classid::bigint << 32 | l.objid::bigint) = $1",
    )
    .bind(id);
    let rows = session.fetch_bound(query).await.map_err(Stopped::doing("see who holds the advisory lock"))?;
    Ok(rows.first().map_or_else(|| "it has just ended".into(), |row| row.get(0)))
}
