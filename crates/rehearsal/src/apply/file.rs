//! The files of a plan, one after the other, under the two locks.

use std::time::Instant;

use super::limits::Limits;
use super::{one_transaction, stepwise};
use crate::error::Result;
use crate::event::{Emitter, EventKind, LockHeld, LocksHeld, NoticeHeard, milliseconds};
use crate::plan::{Plan, PlannedFile};
use crate::postgres::lock_watch::{LockWatch, Seen};
use crate::postgres::locks::Lock;
use crate::postgres::notices::Heard;
use crate::postgres::session::Session;
use crate::postgres::{history, journal};
use crate::statement::{Mode, Statement};

/// Runs plans on one session, which it wants for itself.
pub struct Applier<'a> {
    /// The connection. Its locks are this run's locks.
    pub session: &'a mut Session,
    /// Who hears of it.
    pub events: &'a Emitter,
    /// How long things may take.
    pub limits: &'a Limits,
    /// sqlx's history table, as SQL writes it.
    pub history_table: &'a str,
    /// Written into the journal.
    pub run_id: &'a str,
    /// Nobody else uses the database meanwhile: batches have nobody to wait for.
    pub alone: bool,
    /// Who watches the session's locks, if anybody does.
    pub watch: Option<LockWatch>,
}

impl Applier<'_> {
    /// Takes both locks: our own for the run, and sqlx's for its history. What is planned before that
    /// may be out of date, so plan after it. They end with the session. Tells whether another run had the
    /// first of them until then.
    ///
    /// # Errors
    /// [`crate::postgres::BusyError`] that names the holder.
    pub async fn lock(session: &mut Session, limits: &Limits, events: &Emitter) -> Result<bool> {
        let patience = limits.run_lock_patience;
        let waited = Lock::Run.acquire(session, patience, events.waits_for_run(patience)).await?;
        Lock::Sqlx.acquire(session, patience, events.waits_for_run(patience)).await?;
        Ok(waited)
    }

    /// Gives both locks back. After a failure there is no need: the server does when the session ends.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn unlock(session: &mut Session) -> Result<()> {
        Lock::Sqlx.release(session).await?;
        Lock::Run.release(session).await
    }

    /// Runs all files of a plan, which was made after [`Applier::lock`].
    ///
    /// # Errors
    /// The first failure; what was recorded before it stays recorded.
    pub async fn run(&mut self, plan: &Plan) -> Result<()> {
        if plan.is_empty() {
            return Ok(());
        }
        history::ensure_table(self.session, self.history_table).await?;
        if plan.files().iter().any(|file| file.script.mode == Mode::Stepwise) {
            let kept = journal::ensure(self.session).await?;
            if !kept {
                let schema = &self.session.target().journal().schema;
                self.events.warn(format!(
                    "no journal can be kept in schema {schema}: what stops this run in a file that is not one transaction \
                     has to be mended by hand, because nothing tells how far it came"
                ));
            }
        }
        for file in plan.files() {
            let limits = file.script.limits.over(self.limits);
            let mut applier = Applier {
                session: &mut *self.session,
                events: self.events,
                limits: &limits,
                history_table: self.history_table,
                run_id: self.run_id,
                alone: self.alone,
                watch: self.watch.take(),
            };
            applier.run_file(file).await?;
            self.watch = applier.watch;
        }
        Ok(())
    }

    async fn run_file(&mut self, file: &PlannedFile) -> Result<()> {
        let began = Instant::now();
        self.events.emit(EventKind::FileStarted {
            version: file.version,
            direction: file.direction,
            path: file.script.path.display().to_string(),
            mode: file.script.mode,
            resumes: file.resumes,
        });
        if let Some(watch) = &self.watch {
            let begun = watch.begin().await;
            self.still_watched(begun);
        }
        match file.script.mode {
            Mode::OneTransaction => one_transaction::run(self, file).await?,
            // Apart: most files are not of this kind, and would have to be as big.
            Mode::Stepwise => Box::pin(stepwise::run(self, file)).await?,
        }
        self.tell_locks(file).await;
        self.events.emit(EventKind::FileFinished {
            version: file.version,
            direction: file.direction,
            duration_ms: milliseconds(began),
        });
        Ok(())
    }

    /// Has the locks looked at now, before they are given back.
    pub(super) async fn look_at_locks(&mut self) {
        if let Some(watch) = &self.watch {
            let looked = watch.look().await;
            self.still_watched(looked);
        }
    }

    /// Tells what a statement said.
    pub(super) fn tell_heard(&self, file: &PlannedFile, statement: &Statement, heard: Heard) {
        let (version, direction, line) = (file.version, file.direction, statement.line);
        if heard.left_out > 0 {
            self.events.info(format!("{version}:{line} said {} things more before", heard.left_out));
        }
        for notice in heard.notices {
            self.events.emit(EventKind::Notice(NoticeHeard { version, direction, line, notice }));
        }
    }

    async fn tell_locks(&mut self, file: &PlannedFile) {
        let Some(watch) = &self.watch else { return };
        let ended = watch.end().await;
        let Some(seen) = self.still_watched(ended) else { return };
        if seen == Seen::default() {
            return;
        }
        let locks = seen.locks.into_iter().map(|held| LockHeld {
            relation: held.relation,
            mode: held.mode,
            longest_ms: u64::try_from(held.longest.as_millis()).unwrap_or(u64::MAX),
            waiting: held.waiting,
        });
        self.events.emit(EventKind::Locks(LocksHeld {
            version: file.version,
            direction: file.direction,
            locks: locks.collect(),
            rewritten: seen.rewritten,
        }));
    }

    /// A migration does not fail because nobody could watch it: that is told, once.
    fn still_watched<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(seen) => Some(seen),
            Err(error) => {
                self.watch = None;
                self.events.warn(format!("the locks are no longer watched: {error}"));
                None
            }
        }
    }
}
