//! One database takes another one's name, and that one gets a name of its own.
//!
//! Both renames are one transaction, which PostgreSQL lets them be: whatever kills whom, there is never a moment
//! without a database of the name. While the transaction waits for the last client to go, whoever connects waits
//! for its lock (InitPostgres in postinit.c takes it), and is then let go to connect once more; so nobody has to be
//! kept out by a setting that would stay behind if we were killed.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::refusal::RestoreError;
use crate::error::{Error, Result};
use crate::postgres::databases;
use crate::postgres::identifier::{literal, quote};
use crate::postgres::query::{Stopped, is_connection_lost, sqlstate};
use crate::postgres::session::Session;

/// How long clients may be held in one try: what a service's own timeouts forgive.
const TRY: Duration = Duration::from_secs(1);

/// How long one waits for the database's own lock, which others have while they connect.
const LOCK: Duration = Duration::from_millis(300);

/// Between two tries, in which clients go on with the old database.
const PAUSE: Duration = Duration::from_millis(500);

/// How often those who are still there are ended.
const POLL: Duration = Duration::from_millis(20);

/// Whoever is in that one database, and may be ended by us: at the first other one pg_terminate_backend would end the
/// whole query. They are listed before anybody is ended: as a condition, the function may be called for every session
/// of the server, in whatever order the planner finds cheap.
const END: &str = "\
    WITH them AS MATERIALIZED ( \
        SELECT a.pid FROM pg_stat_activity a JOIN pg_roles u ON u.oid = a.usesysid JOIN pg_roles me ON me.rolname = current_user \
        WHERE a.datname = $1 AND (me.rolsuper OR (NOT u.rolsuper AND \
            (pg_has_role(u.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))))) \
    SELECT pid, pg_terminate_backend(pid) FROM them";

/// What is to change names.
#[derive(Debug)]
pub struct Switch<'a> {
    /// The name that clients know.
    pub place: &'a str,
    /// The database that gets it.
    pub fresh: &'a str,
    /// What the one that has it now is called from then on.
    pub keeps: &'a str,
    /// Its comment, which goes with the name.
    pub comment: Option<&'a str>,
    /// How long it is tried in all. Clients that are ended come back within this time, and are ended again.
    pub patience: Duration,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub struct Switched {
    /// From the first rename to the end of the transaction: as long as clients were held.
    pub took: Duration,
    /// Sessions that were ended.
    pub ended: usize,
    /// Tries before it.
    pub tries: u32,
}

impl Switch<'_> {
    /// Does it, in as many tries as there is time for. `outside` is in neither database.
    ///
    /// # Errors
    /// [`RestoreError::StillUsed`] when clients did not leave: then all is as it was. [`Error::Interrupted`] between
    /// two tries.
    pub async fn run(&self, outside: &Session, cancel: &CancellationToken) -> Result<Switched> {
        // An interruption in the middle of a try would leave open whether it was done; a try is short.
        let whole = CancellationToken::new();
        let mut renamer = databases::connect_beside(outside.target(), "restore", &whole).await?;
        let mut ender = databases::connect_beside(outside.target(), "restore", &whole).await?;
        let deadline = Instant::now() + self.patience;
        let mut ended = BTreeSet::new();
        let mut tries = 0;
        let outcome = loop {
            if cancel.is_cancelled() {
                break Err(Error::Interrupted);
            }
            let began = Instant::now();
            let done = tokio::select! {
                done = self.rename(&mut renamer) => done,
                never = self.end_clients(&mut ender, &mut ended) => match never {},
            };
            match done {
                Ok(()) => break Ok(Switched { took: began.elapsed(), ended: ended.len(), tries }),
                Err(Stopped::Failed(error)) if is_in_use(&error) && Instant::now() < deadline => tries += 1,
                Err(Stopped::Failed(error)) if is_in_use(&error) => break Err(self.still_used(&mut ender).await?),
                Err(Stopped::Failed(error)) if is_connection_lost(&error) && self.is_done(outside).await? => {
                    break Ok(Switched { took: began.elapsed(), ended: ended.len(), tries });
                }
                Err(stopped) => break Err(Stopped::doing(format!("rename database {}", self.place))(stopped)),
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = cancel.cancelled() => {}
            }
        };
        renamer.close().await;
        ender.close().await;
        outcome
    }

    async fn rename(&self, session: &mut Session) -> Result<(), Stopped> {
        let (place, fresh, keeps) = (quote(self.place), quote(self.fresh), quote(self.keeps));
        let comment = self.comment.map_or_else(|| "NULL".to_owned(), literal);
        let sql = format!(
            "BEGIN; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
             ALTER DATABASE {place} RENAME TO {keeps}; ALTER DATABASE {fresh} RENAME TO {place}; \
             COMMENT ON DATABASE {place} IS {comment}; COMMIT",
            TRY.as_millis(),
            LOCK.as_millis()
        );
        let done = session.execute(&sql).await.map(drop);
        if done.is_err() {
            // Where even this fails, the server has ended the session, and the transaction with it.
            let _ = session.execute("ROLLBACK").await;
        }
        done
    }

    /// Ends those who are in the old database, and those who come, until this is dropped.
    async fn end_clients(&self, session: &mut Session, ended: &mut BTreeSet<i32>) -> Infallible {
        loop {
            // A failure must not leave open what becomes of the transaction: it ends by its own limit.
            if let Ok(rows) = session.fetch_bound(sqlx::query(END).bind(self.place)).await {
                ended.extend(rows.iter().map(|row| row.get::<i32, _>(0)));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn still_used(&self, session: &mut Session) -> Result<Error> {
        let query = sqlx::query(
            "SELECT format('pid %s (%s, user %s)', pid, coalesce(nullif(application_name, ''), 'unnamed'), coalesce(usename::text, 'unknown')) \
             FROM pg_stat_activity WHERE datname = $1 ORDER BY backend_start LIMIT 3",
        );
        let rows = session.fetch_bound(query.bind(self.place)).await.map_err(Stopped::doing("see who is there"))?;
        let by: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let by = if by.is_empty() { "sessions that end and come back".to_owned() } else { by.join(", ") };
        Ok(RestoreError::StillUsed { database: self.place.into(), seconds: self.patience.as_secs(), by }.into())
    }

    /// Whether it was done although nobody told us.
    async fn is_done(&self, outside: &Session) -> Result<bool> {
        let mut session = databases::connect_beside(outside.target(), "restore", &CancellationToken::new()).await?;
        let found = databases::describe(&mut session, self.keeps).await?;
        session.close().await;
        Ok(found.is_some())
    }
}

/// Somebody is in it (55006), connects to it (55P03), or did not go in time (57014).
fn is_in_use(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("55006" | "55P03" | "57014" | "40P01"))
}
