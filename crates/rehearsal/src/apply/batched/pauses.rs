//! When the next batch has to wait: a file asks for it, the hour is not right, standbys fall behind, or
//! somebody queues for the table. No transaction is open meanwhile, and the connection is spoken to, so
//! that its end is noticed and nothing in between takes it for idle.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::Row;

use crate::apply::failure::stopped_at;
use crate::apply::limits::Limits;
use crate::apply::window::{State, Window, WindowError};
use crate::error::{Error, Result};
use crate::event::{Emitter, PauseReason, Paused, milliseconds};
use crate::plan::PlannedFile;
use crate::postgres::locks::Lock;
use crate::postgres::query::{Stopped, sqlstate};
use crate::postgres::session::Session;
use crate::postgres::standbys::Standbys;
use crate::postgres::waiters;
use crate::report::format::{bytes, duration};
use crate::statement::{Batch, Statement};

/// How often the server is asked while batches run: standbys fall behind by seconds, not by less.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether a pause is over.
const POLL: Duration = Duration::from_millis(250);

/// How long the server's word for the hour is taken: its clock may be set, and summer time begins.
const HOUR_HOLDS: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Pauses<'a> {
    file: &'a PlannedFile,
    statement: &'a Statement,
    table: &'a str,
    limits: &'a Limits,
    standbys: Standbys,
    /// Nothing of them can be seen; that has been told.
    blind: bool,
    looked: Option<Instant>,
    /// The window stays open until then.
    open_until: Option<Instant>,
    spent: BTreeMap<PauseReason, Duration>,
}

/// Why the next batch waits.
struct Why {
    reason: PauseReason,
    /// For people: what is the matter, and what ends it.
    text: String,
}

impl<'a> Pauses<'a> {
    pub(super) fn new(file: &'a PlannedFile, statement: &'a Statement, batch: &'a Batch, limits: &'a Limits) -> Self {
        Self {
            file,
            statement,
            table: &batch.table,
            limits,
            standbys: Standbys::default(),
            blind: false,
            looked: None,
            open_until: None,
            spent: BTreeMap::new(),
        }
    }

    /// How long batches waited, by reason.
    pub(super) fn spent(&self) -> Vec<Paused> {
        let paused = |(reason, time): (&PauseReason, &Duration)| Paused {
            reason: *reason,
            duration_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        };
        self.spent.iter().map(paused).collect()
    }

    /// The time of all of them.
    pub(super) fn total(&self) -> Duration {
        self.spent.values().sum()
    }

    /// Returns when the next batch may run.
    ///
    /// # Errors
    /// [`Error::Interrupted`], a lost connection, [`WindowError`].
    pub(super) async fn before_batch(&mut self, session: &mut Session, events: &Emitter) -> Result<()> {
        let began = Instant::now();
        let mut told = None;
        let mut queued = Duration::ZERO;
        let mut gave_way = false;
        loop {
            let since = Instant::now();
            let why = self.why(session, events, told.is_some(), queued).await?;
            let Some(why) = why else { break };
            if told != Some(why.reason) {
                events.info(format!("{}: paused: {}", self.place(), why.text));
                told = Some(why.reason);
            }
            if why.reason.is_long() && !gave_way {
                // Hours may go by. Whoever waits for it meanwhile, as services do when they start, holds a snapshot;
                // that this version has begun keeps sqlx out as well.
                Lock::Sqlx.release(session).await?;
                gave_way = true;
            }
            let cancel = session.cancellation();
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = cancel.cancelled() => return Err(Error::Interrupted),
            }
            let waited = since.elapsed();
            *self.spent.entry(why.reason).or_default() += waited;
            if why.reason == PauseReason::LockQueue {
                queued += waited;
            }
        }
        if gave_way {
            let patience = self.limits.lock_budget;
            Lock::Sqlx.acquire(session, patience, events.waits_for_run(patience)).await?;
        }
        if told.is_some() {
            events.info(format!("{}: going on after {}", self.place(), duration(milliseconds(began))));
        }
        Ok(())
    }

    fn place(&self) -> String {
        format!("{}:{}", self.file.script.path.display(), self.statement.line)
    }

    async fn why(
        &mut self,
        session: &mut Session,
        events: &Emitter,
        paused: bool,
        queued: Duration,
    ) -> Result<Option<Why>> {
        let by_file = self.limits.pause_file.as_deref().and_then(asked_for);
        let by_hour = self.hour(session).await?;
        if !paused && by_file.is_none() && by_hour.is_none() && self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY)
        {
            return Ok(None);
        }
        // Also where the reason is known already: this is what keeps the connection alive.
        let by_lag = self.lag(session, events).await?;
        let by_queue = self.queue(session).await?.filter(|_| queued < self.limits.lock_budget);
        self.looked = Some(Instant::now());
        Ok(by_file.or(by_hour).or(by_lag).or(by_queue))
    }

    async fn hour(&mut self, session: &mut Session) -> Result<Option<Why>> {
        let Some(window) = &self.limits.batch_window else { return Ok(None) };
        if self.open_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        match hour(session, window).await? {
            State::Open(left) => {
                self.open_until = Some(Instant::now() + left.min(HOUR_HOLDS));
                Ok(None)
            }
            State::Closed(left) => {
                self.open_until = None;
                let text = format!(
                    "outside of {window} (limits.batch_window) until {}, for {} more; Ctrl-C ends the run, and the \
                     same command goes on from here",
                    window.opens(),
                    duration(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
                );
                Ok(Some(Why { reason: PauseReason::Window, text }))
            }
        }
    }

    async fn lag(&mut self, session: &mut Session, events: &Emitter) -> Result<Option<Why>> {
        if self.blind {
            return Ok(None);
        }
        let look = match self.standbys.look(session).await {
            Ok(look) => look,
            // Not every managed service lets anybody look. A lost connection is found by what is asked next.
            Err(Stopped::Failed(error)) => {
                self.blind = true;
                let words = crate::postgres::query::server_words(&error);
                events.info(format!("{}: whether standbys fall behind cannot be seen: {words}", self.place()));
                return Ok(None);
            }
            Err(stopped) => return Err(stopped_at(self.file, self.statement, true)(stopped)),
        };
        if look.hidden > 0 {
            self.blind = true;
            events.info(format!(
                "{}: this role may not see how far {} behind, so batches do not wait for it; \
                 GRANT pg_monitor to the role, and they do",
                self.place(),
                if look.hidden == 1 { "the standby is".to_owned() } else { format!("{} standbys are", look.hidden) }
            ));
            return Ok(None);
        }
        let limit = self.limits.replication_lag;
        Ok(look.slowest.filter(|slowest| slowest.behind > limit).map(|slowest| {
            let millis = |time: Duration| duration(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            let text = format!(
                "standby {} is {} ({}) behind; it goes on below {} (limits.replication_lag)",
                slowest.name,
                millis(slowest.behind),
                bytes(slowest.bytes),
                millis(limit)
            );
            Why { reason: PauseReason::ReplicationLag, text }
        }))
    }

    async fn queue(&self, session: &mut Session) -> Result<Option<Why>> {
        let failed = |stopped| stopped_at(self.file, self.statement, true)(stopped);
        let first = waiters::first_in_queue(session, self.table).await.map_err(failed)?;
        Ok(first.map(|first| Why {
            reason: PauseReason::LockQueue,
            text: format!("{first}, and whoever asks next stands behind it; it goes on when that one had its turn"),
        }))
    }
}

fn asked_for(path: &Path) -> Option<Why> {
    // What cannot be looked at is not there for anybody else either.
    path.exists().then(|| Why {
        reason: PauseReason::PauseFile,
        text: format!("{0} is there; `rm {0}` lets it go on", path.display()),
    })
}

/// Whether the window is open, by the server's clock.
///
/// # Errors
/// [`WindowError`], or the server's.
pub(in crate::apply) async fn hour(session: &mut Session, window: &Window) -> Result<State> {
    let query = sqlx::query("SELECT extract(epoch FROM (clock_timestamp() AT TIME ZONE $1)::time)::integer");
    match session.fetch_bound(query.bind(&window.zone)).await {
        Ok(rows) => {
            let second = rows.first().map_or(0, |row| row.get::<i32, _>(0));
            Ok(window.at(u32::try_from(second).unwrap_or(0)))
        }
        Err(Stopped::Failed(error)) if sqlstate(&error).as_deref() == Some("22023") => {
            Err(WindowError { zone: window.zone.clone() }.into())
        }
        Err(stopped) => Err(Stopped::doing("ask the server for the hour")(stopped)),
    }
}
