//! Batch after batch along the key, each its own transaction with its own checkpoint.
//!
//! The marker `/* batch: TABLE.KEY */ TRUE` is replaced by `KEY > $1 AND KEY <= $2`. The upper bound
//! is fixed when the statement begins; rows that come in meanwhile are swept up afterwards.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Row};

use super::course::Course;
use super::key;
use super::pace::Pace;
use super::pauses::Pauses;
use super::texts::Texts;
use crate::apply::blockers::Watched;
use crate::apply::failure::stopped_in;
use crate::apply::file::Applier;
use crate::apply::retry::{Tries, is_transient};
use crate::apply::spot::Sent;
use crate::apply::stepwise::Figures;
use crate::error::{Error, Result};
use crate::event::{EventKind, Progress};
use crate::plan::PlannedFile;
use crate::postgres::journal::{Entry, Place};
use crate::postgres::query::{Stopped, sqlstate};
use crate::postgres::session::Session;
use crate::postgres::waiters;
use crate::report::format::{count, duration};
use crate::statement::{Batch, Class, Statement};

/// How often rows that came in meanwhile are looked for. Whoever writes them runs new code by then,
/// so one look is enough but for what was under way.
const SWEEPS: u32 = 3;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// How long the next batch waits after the last, as a share of the last one's time: a client that
/// queued behind our row locks gets its turn.
const REST: f64 = 0.02;

/// The same after a batch that somebody was seen to wait for: whoever comes again and again is held for
/// half of the time at the most.
const REST_FOR_WAITERS: f64 = 1.0;

/// Where the walk stands.
struct Walk<'a> {
    file: &'a PlannedFile,
    statement: &'a Statement,
    place: &'a Place,
    texts: Texts,
    pauses: Pauses<'a>,
    pace: Pace,
    /// Rows written, those of earlier runs included.
    rows: u64,
    /// Rows passed over, written or not.
    seen: u64,
    /// The share of them that earlier runs did.
    seen_before: u64,
    batches: u64,
    held_up: u64,
    retries: u32,
    longest: Duration,
    course: Course,
    total: Option<u64>,
    began: Instant,
    told: Instant,
}

/// What one batch did.
struct Done {
    /// The last key of its range.
    bound: String,
    rows: u64,
    /// Sessions that waited for it when it ended.
    waiting: u64,
}

/// Runs a batched statement, from where the journal says that it stands.
///
/// # Errors
/// What its key or its text is refused for, what a batch failed with, and the user's wish to stop.
pub(in crate::apply) async fn run(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    batch: &Batch,
    place: &Place,
    entry: Option<Entry>,
) -> Result<Figures> {
    let failed = |stopped| stopped_in(Sent::Ours, file, statement, true)(stopped);
    let key = key::read(applier, file, statement, batch).await?;
    let limits = applier.limits;
    let rows = entry.as_ref().map_or(0, |entry| entry.rows);
    let mut walk = Walk {
        file,
        statement,
        place,
        texts: Texts::new(statement, batch, &key),
        pauses: Pauses::new(file, statement, batch, limits),
        pace: Pace::new(limits.batch_rows, limits.batch_time),
        rows,
        seen: rows,
        seen_before: rows,
        batches: 0,
        held_up: 0,
        retries: 0,
        longest: Duration::ZERO,
        course: Course::default(),
        total: key.estimated_rows,
        began: Instant::now(),
        told: Instant::now(),
    };
    let (mut checkpoint, upper) = entry.map_or((None, None), |entry| (entry.checkpoint, entry.upper_bound));
    if let Some(checkpoint) = &checkpoint {
        let (place, key) = (walk.place_in_file(), &batch.key);
        applier.events.info(format!("{place}: going on after {key} = {checkpoint}, {rows} rows done before"));
    }
    let upper = upper.or(walk.highest(applier).await?);
    place.start(applier.session, &statement.digest(), applier.run_id, upper.as_deref()).await.map_err(failed)?;
    if let Some(upper) = upper {
        walk.up_to(applier, &mut checkpoint, &upper).await?;
    }
    // What moves on with every change, as the time of the last one does, would bring a row back again and again.
    let comes_back = batch.updates && !key.unique;
    if batch.sweeps && comes_back {
        let (place, key) = (walk.place_in_file(), &batch.key);
        applier.events.info(format!(
            "{place}: rows that came in meanwhile are left as they are: {key} is not unique, so that one might be written twice"
        ));
    }
    let sweeps = if batch.sweeps && !comes_back { SWEEPS } else { 0 };
    for _ in 0..sweeps {
        match walk.highest(applier).await? {
            Some(newest) if checkpoint.as_ref() != Some(&newest) => {
                walk.up_to(applier, &mut checkpoint, &newest).await?;
            }
            _ => break,
        }
    }
    if key.nullable {
        walk.without_key(applier).await?;
    }
    place.finish(applier.session, walk.rows).await.map_err(failed)?;
    Ok(Figures {
        rows: walk.rows,
        batches: Some(walk.batches),
        longest_batch: Some(walk.longest),
        held_up: Some(walk.held_up),
        pauses: walk.pauses.spent(),
        course: walk.course.into_slices(),
        retries: walk.retries,
        already_done: false,
    })
}

impl Walk<'_> {
    fn place_in_file(&self) -> String {
        format!("{}:{}", self.file.script.path.display(), self.statement.line)
    }

    /// The highest key that there is now.
    async fn highest(&mut self, applier: &mut Applier<'_>) -> Result<Option<String>> {
        let mut tries = Tries::new(applier.limits);
        loop {
            self.pause(applier).await?;
            match self.highest_now(applier, &mut tries).await {
                Ok(highest) => return Ok(highest),
                Err(stopped) => self.after_failure(applier, None, stopped, Duration::ZERO, &mut tries).await?,
            }
        }
    }

    /// The statement is looked at as it is written: a mistake is found also where there is no row, and at
    /// its own place, which a range in the middle would move.
    async fn highest_now(&self, applier: &mut Applier<'_>, tries: &mut Tries) -> Result<Option<String>, Stopped> {
        let session = &mut *applier.session;
        session.execute(&tries.begin()).await?;
        let query = sqlx::query(AssertSqlSafe(self.texts.highest.clone()));
        let watched = Watched::new(session, tries.lock_timeout());
        let look = async {
            session.prepare(&self.statement.sql).await?;
            session.fetch_bound(query).await
        };
        let rows = watched.during(&mut tries.blockers, look).await?;
        session.execute("COMMIT").await?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    /// Batch after batch until `upper`.
    async fn up_to(&mut self, applier: &mut Applier<'_>, checkpoint: &mut Option<String>, upper: &str) -> Result<()> {
        let mut tries = Tries::new(applier.limits);
        loop {
            self.pause(applier).await?;
            let began = Instant::now();
            let outcome = self.one_batch(applier, checkpoint.as_deref(), upper, &mut tries).await;
            let took = began.elapsed();
            match outcome {
                Ok(None) => return Ok(()),
                Ok(Some(Done { bound, rows, waiting })) => {
                    *checkpoint = Some(bound);
                    tries = Tries::new(applier.limits);
                    self.count(applier, rows, waiting, took);
                    rest(applier, took.mul_f64(if waiting > 0 { REST_FOR_WAITERS } else { REST })).await?;
                }
                Err(stopped) => {
                    let by = if checkpoint.is_none() { &self.texts.first.by } else { &self.texts.between.by }.clone();
                    self.after_failure(applier, Some(&by), stopped, took, &mut tries).await?;
                }
            }
        }
    }

    async fn pause(&mut self, applier: &mut Applier<'_>) -> Result<()> {
        if applier.alone {
            return Ok(());
        }
        self.pauses.before_batch(applier.session, applier.events).await
    }

    async fn one_batch(
        &self,
        applier: &mut Applier<'_>,
        after: Option<&str>,
        upper: &str,
        tries: &mut Tries,
    ) -> Result<Option<Done>, Stopped> {
        let patience = self.patience(applier);
        let session = &mut *applier.session;
        let begin = format!("{}; SET LOCAL statement_timeout = {}", tries.begin(), patience.as_millis());
        session.execute(&begin).await?;
        let watched = Watched::new(session, tries.lock_timeout());
        let work = self.write(session, after, upper);
        // To name who blocks takes a connection of its own. A batch takes about as long as it would wait
        // for, so nearly each of them would pay for one: only what has been blocked is watched.
        let written = if tries.failed() > 0 || applier.limits.lock_tries == 1 {
            watched.during(&mut tries.blockers, work).await?
        } else {
            work.await?
        };
        let Some((bound, rows)) = written else {
            session.execute("COMMIT").await?;
            return Ok(None);
        };
        self.place.checkpoint(session, &bound, self.rows + rows, upper).await?;
        let waiting = waiters::held_up(session).await?;
        session.execute("COMMIT").await?;
        Ok(Some(Done { bound, rows, waiting }))
    }

    /// Writes the next range, if there is one: its end, and how many rows were written.
    async fn write(
        &self,
        session: &mut Session,
        after: Option<&str>,
        upper: &str,
    ) -> Result<Option<(String, u64)>, Stopped> {
        let Some(bound) = self.bound(session, after, upper).await? else { return Ok(None) };
        let query = match after {
            None => sqlx::query(AssertSqlSafe(self.texts.first.sql.clone())).bind(&bound),
            Some(after) => sqlx::query(AssertSqlSafe(self.texts.between.sql.clone())).bind(after).bind(&bound),
        };
        let rows = session.execute_bound(query).await?.rows_affected();
        Ok(Some((bound, rows)))
    }

    /// How long the next batch may take.
    fn patience(&self, applier: &Applier<'_>) -> Duration {
        let most = applier.limits.statement_timeout;
        self.pace.patience().map_or(most, |patience| patience.min(most))
    }

    /// The end of the next range, if there is one. The index alone is walked over; a sort of what was
    /// passed would cost a twentieth of the whole backfill.
    async fn bound(&self, session: &mut Session, after: Option<&str>, upper: &str) -> Result<Option<String>, Stopped> {
        let behind = i64::try_from(self.pace.size().saturating_sub(1)).unwrap_or(i64::MAX);
        let next = sqlx::query(AssertSqlSafe(self.texts.next_bound.clone())).bind(after).bind(upper).bind(behind);
        let mut found = session.fetch_bound(next).await?;
        if found.is_empty() {
            let last = sqlx::query(AssertSqlSafe(self.texts.last_bound.clone())).bind(after).bind(upper);
            found = session.fetch_bound(last).await?;
        }
        Ok(found.first().and_then(|row| row.get(0)))
    }

    /// Rows that have no key are one last batch.
    async fn without_key(&mut self, applier: &mut Applier<'_>) -> Result<()> {
        let mut tries = Tries::new(applier.limits);
        loop {
            self.pause(applier).await?;
            let began = Instant::now();
            match self.keyless_batch(applier, &tries).await {
                Ok(rows) => {
                    self.rows += rows;
                    self.batches += 1;
                    self.longest = self.longest.max(began.elapsed());
                    self.course.add(self.began.elapsed(), rows, began.elapsed());
                    return Ok(());
                }
                // However long it took, there is no half of it to try next.
                Err(stopped) => {
                    let by = self.texts.without_key.by.clone();
                    self.after_failure(applier, Some(&by), stopped, Duration::ZERO, &mut tries).await?;
                }
            }
        }
    }

    async fn keyless_batch(&self, applier: &mut Applier<'_>, tries: &Tries) -> Result<u64, Stopped> {
        let session = &mut *applier.session;
        session.execute(&tries.begin()).await?;
        let query = sqlx::query(AssertSqlSafe(self.texts.without_key.sql.clone()));
        let rows = session.execute_bound(query).await?.rows_affected();
        // Done within its own transaction: a statement that adds must not add twice.
        self.place.finish(session, self.rows + rows).await?;
        session.execute("COMMIT").await?;
        Ok(rows)
    }

    /// A smaller one may get through; anything else ends the walk. `by` is what was sent in the place of the
    /// marker, if anything was.
    async fn after_failure(
        &mut self,
        applier: &mut Applier<'_>,
        by: Option<&str>,
        stopped: Stopped,
        took: Duration,
        tries: &mut Tries,
    ) -> Result<()> {
        let patience = self.patience(applier);
        // The same code means a statement that somebody else has cancelled, and who did that meant it.
        let timed_out = is(&stopped, "57014") && self.pace.patience().is_some() && took >= patience;
        let locked = is_lock_trouble(&stopped);
        if matches!(stopped, Stopped::Failed(_)) {
            // When the connection is gone there is nothing to roll back, and this fails as well.
            let _ = applier.session.execute("ROLLBACK").await;
        }
        if !timed_out && !locked {
            let sent = match (&self.statement.class, by) {
                (Class::Batched(batch), Some(by)) => Sent::Replaced { marker: &batch.marker, by },
                _ => Sent::AsWritten,
            };
            return Err(stopped_in(sent, self.file, self.statement, true)(stopped));
        }
        self.retries += 1;
        let place = self.place_in_file();
        if locked {
            self.pace.halve();
            let cancel = applier.session.cancellation().clone();
            return tries.next(&place, applier.events, &cancel).await;
        }
        let size = self.pace.size();
        self.pace.timed_out(patience);
        applier.events.info(format!(
            "{place}: {} rows took longer than {}; trying {}",
            count(size),
            duration(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX)),
            count(self.pace.size())
        ));
        rest(applier, patience.mul_f64(REST_FOR_WAITERS)).await
    }

    fn count(&mut self, applier: &Applier<'_>, rows: u64, waiting: u64, took: Duration) {
        self.rows += rows;
        self.seen += self.pace.size();
        self.batches += 1;
        self.held_up += u64::from(waiting > 0);
        self.longest = self.longest.max(took);
        self.course.add(self.began.elapsed(), rows, took);
        self.pace.took(took);
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            self.tell(applier);
        }
    }

    fn tell(&self, applier: &Applier<'_>) {
        let done = self.total.map_or(self.seen, |total| self.seen.min(total));
        let spent = self.began.elapsed().saturating_sub(self.pauses.total());
        let spent_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        let per_second = (self.seen - self.seen_before).saturating_mul(1_000).checked_div(spent_ms);
        let left = self.total.map(|total| total - done).zip(per_second);
        applier.events.emit(EventKind::Progress(Progress {
            unit: "rows".into(),
            done,
            total: self.total,
            what: self.place_in_file(),
            per_second,
            left_ms: left.and_then(|(left, rate)| left.saturating_mul(1_000).checked_div(rate)),
        }));
    }
}

async fn rest(applier: &Applier<'_>, time: Duration) -> Result<()> {
    let cancel = applier.session.cancellation();
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = cancel.cancelled() => Err(Error::Interrupted),
    }
}

fn is(stopped: &Stopped, state: &str) -> bool {
    matches!(stopped, Stopped::Failed(error) if sqlstate(error).as_deref() == Some(state))
}

fn is_lock_trouble(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::Failed(error) if is_transient(error))
}
