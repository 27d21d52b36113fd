//! A statement in key ranges: each batch is its own transaction and carries its own checkpoint.
//!
//! The marker `/* batch: TABLE.KEY */ TRUE` is replaced by `KEY > $1 AND KEY <= $2`. The upper bound
//! is fixed when the statement begins; rows that come in meanwhile are swept up afterwards.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Row};

use super::blockers::Watched;
use super::failure::stopped_in;
use super::file::Applier;
use super::retry::{Tries, is_transient};
use super::spot::Sent;
use super::stepwise::Figures;
use crate::error::{Error, Result};
use crate::event::{EventKind, Progress};
use crate::plan::PlannedFile;
use crate::postgres::catalog::{self, KeyColumn};
use crate::postgres::journal::{Entry, Place};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::source::SourceError;
use crate::statement::{Batch, Class, Statement};

/// A batch never gets smaller than this: below it the round trips cost more than the rows.
const FEWEST_ROWS: u64 = 100;

/// The very first batch is this much smaller than `batch_rows`: what a row costs is not known yet, and
/// 5,000 rows of a statement that calls a function for each were seen to hold clients for 0.9 s.
const PROBE: u64 = 10;

/// How much smaller or larger than the last one the next batch may be.
const STEP_DOWN: f64 = 0.1;
const STEP_UP: f64 = 2.0;
const STEP_UP_FROM_PROBE: f64 = 10.0;

/// A batch never gets larger than this many times `batch_rows`.
const MOST_GROWTH: u64 = 10;

/// How often rows that came in meanwhile are looked for. Whoever writes them runs new code by then,
/// so one look is enough but for what was under way.
const SWEEPS: u32 = 3;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// How long the next batch waits after the last, as a share of the last one's time: a client that
/// queued behind our row locks gets its turn.
const REST: f64 = 0.02;

/// The statement with the marker replaced.
struct Replaced {
    sql: String,
    /// What stands in the place of the marker.
    by: String,
}

/// The statement with the marker replaced by each of the ranges it takes.
struct Texts {
    /// From the beginning to $1.
    first: Replaced,
    /// After $1 up to $2.
    between: Replaced,
    /// Rows without a key.
    without_key: Replaced,
    /// The end of the next range: after $1 (from the beginning when NULL), at most $2, behind $3 rows.
    /// Nothing when there are no more than $3.
    next_bound: String,
    /// The end of the last range: the highest key after $1, at most $2.
    last_bound: String,
    /// The highest key.
    highest: String,
}

impl Texts {
    fn new(statement: &Statement, batch: &Batch, key: &KeyColumn) -> Self {
        let Batch { table, qualifier, key: column, marker, .. } = batch;
        let type_name = &key.type_name;
        let qualified = format!("{table}.{column}");
        // In the statement itself the table may have another name.
        let called = format!("{qualifier}.{column}");
        let with = |by: String| {
            let mut sql = statement.sql.clone();
            sql.replace_range(marker.clone(), &by);
            Replaced { sql: sql.trim_end().trim_end_matches(';').to_owned(), by }
        };
        let range = format!(
            "SELECT {qualified} AS k FROM {table} \
             WHERE ($1::text IS NULL OR {qualified} > $1::text::{type_name}) AND {qualified} <= $2::text::{type_name}"
        );
        Self {
            first: with(format!("({called} <= $1::text::{type_name})")),
            between: with(format!("({called} > $1::text::{type_name} AND {called} <= $2::text::{type_name})")),
            without_key: with(format!("({called} IS NULL)")),
            next_bound: format!(
                "SELECT to_json(k) #>> '{{}}' FROM ({range} ORDER BY {qualified} OFFSET $3 LIMIT 1) batch"
            ),
            last_bound: format!("SELECT to_json(k) #>> '{{}}' FROM ({range} ORDER BY {qualified} DESC LIMIT 1) batch"),
            // Not max(): there is none for uuid before PostgreSQL 18. Turned into text outside: an
            // ORDER BY beside that would sort the text, where 9 comes after 10. And by to_json, whose
            // dates are ISO 8601 whatever DateStyle says, so that they can be read back.
            highest: format!(
                "SELECT to_json(k) #>> '{{}}' FROM (SELECT {qualified} AS k FROM {table} \
                 WHERE {qualified} IS NOT NULL ORDER BY {qualified} DESC LIMIT 1) highest"
            ),
        }
    }
}

/// Where the walk stands.
struct Walk<'a> {
    file: &'a PlannedFile,
    statement: &'a Statement,
    place: &'a Place,
    texts: Texts,
    size: u64,
    rows: u64,
    seen: u64,
    batches: u64,
    retries: u32,
    longest: Duration,
    total: Option<u64>,
    told: Instant,
}

pub(super) async fn run(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    batch: &Batch,
    place: &Place,
    entry: Option<Entry>,
) -> Result<Figures> {
    let failed = |stopped| stopped_in(Sent::Ours, file, statement, true)(stopped);
    let key = key(applier, file, statement, batch).await?;
    let texts = Texts::new(statement, batch, &key);
    let mut upper = highest(applier, &texts).await.map_err(failed)?;
    let mut checkpoint = None;
    let mut rows = 0;
    if let Some(entry) = entry {
        rows = entry.rows;
        checkpoint = entry.checkpoint;
        upper = entry.upper_bound.or(upper);
        if let Some(checkpoint) = &checkpoint {
            applier.events.info(format!(
                "{}:{}: going on after {} = {checkpoint}, {rows} rows done before",
                file.script.path.display(),
                statement.line,
                batch.key
            ));
        }
    }
    let mut walk = Walk {
        file,
        statement,
        place,
        texts,
        size: first_size(applier.limits.batch_rows),
        rows,
        seen: 0,
        batches: 0,
        retries: 0,
        longest: Duration::ZERO,
        total: key.estimated_rows,
        told: Instant::now(),
    };
    place.start(applier.session, &statement.digest(), applier.run_id, upper.as_deref()).await.map_err(failed)?;
    if let Some(upper) = upper {
        walk.up_to(applier, &mut checkpoint, &upper).await?;
    }
    let sweeps = if batch.sweeps { SWEEPS } else { 0 };
    for _ in 0..sweeps {
        let newest = highest(applier, &walk.texts).await.map_err(failed)?;
        match newest {
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
        retries: walk.retries,
        already_done: false,
    })
}

/// The key that the marker names.
///
/// # Errors
/// [`SourceError::Unsupported`] when it cannot carry batches.
pub(super) async fn key(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    batch: &Batch,
) -> Result<KeyColumn> {
    let failed = |stopped| stopped_in(Sent::Ours, file, statement, true)(stopped);
    let key = catalog::key_column(applier.session, &batch.table, &batch.key).await.map_err(failed)?;
    usable(key, file, statement, batch)
}

fn usable(key: Option<KeyColumn>, file: &PlannedFile, statement: &Statement, batch: &Batch) -> Result<KeyColumn> {
    let Batch { table, key: column, .. } = batch;
    let unsupported = |what: String, instead: String| SourceError::Unsupported {
        path: file.script.path.clone(),
        line: statement.line,
        what,
        instead,
    };
    match key {
        None => Err(unsupported(
            format!("the batch marker names {table}.{column}, which is not there"),
            "name a table and a column as SQL writes them: /* batch: users.id */ TRUE".into(),
        )
        .into()),
        Some(key) if !key.indexed => Err(unsupported(
            format!("no btree index begins with {table}.{column}: every batch would read the whole table"),
            format!("batch by an indexed column, or create an index on {column} in a migration before"),
        )
        .into()),
        Some(key) => Ok(key),
    }
}

async fn highest(applier: &mut Applier<'_>, texts: &Texts) -> Result<Option<String>, Stopped> {
    let query = sqlx::query(AssertSqlSafe(texts.highest.clone()));
    let rows = applier.session.fetch_bound(query).await?;
    Ok(rows.first().and_then(|row| row.get(0)))
}

impl Walk<'_> {
    /// Batch after batch until `upper`.
    async fn up_to(&mut self, applier: &mut Applier<'_>, checkpoint: &mut Option<String>, upper: &str) -> Result<()> {
        let mut tries = Tries::new(applier.limits);
        loop {
            let began = Instant::now();
            let outcome = self.one_batch(applier, checkpoint.as_deref(), upper, &mut tries).await;
            match outcome {
                Ok(None) => return Ok(()),
                Ok(Some((bound, rows))) => {
                    *checkpoint = Some(bound);
                    tries = Tries::new(applier.limits);
                    let took = began.elapsed();
                    self.count(applier, rows, took);
                    self.rest(applier, took).await?;
                }
                Err(stopped) => {
                    let by = checkpoint.as_ref().map_or(&self.texts.first.by, |_| &self.texts.between.by).clone();
                    self.after_failure(applier, stopped, &mut tries, &by).await?;
                }
            }
        }
    }

    async fn one_batch(
        &self,
        applier: &mut Applier<'_>,
        after: Option<&str>,
        upper: &str,
        tries: &mut Tries,
    ) -> Result<Option<(String, u64)>, Stopped> {
        let session = &mut *applier.session;
        let Some(bound) = self.bound(session, after, upper).await? else { return Ok(None) };
        session.execute(&tries.begin()).await?;
        let query = match after {
            None => sqlx::query(AssertSqlSafe(self.texts.first.sql.clone())).bind(&bound),
            Some(after) => sqlx::query(AssertSqlSafe(self.texts.between.sql.clone())).bind(after).bind(&bound),
        };
        let watched = Watched::new(session, tries.lock_timeout());
        let rows = watched.during(&mut tries.blockers, session.execute_bound(query)).await?.rows_affected();
        self.place.checkpoint(session, &bound, self.rows + rows, upper).await?;
        session.execute("COMMIT").await?;
        Ok(Some((bound, rows)))
    }

    /// The end of the next range, if there is one. The index alone is walked over; a sort of what was
    /// passed would cost a twentieth of the whole backfill.
    async fn bound(&self, session: &mut Session, after: Option<&str>, upper: &str) -> Result<Option<String>, Stopped> {
        let behind = i64::try_from(self.size.saturating_sub(1)).unwrap_or(i64::MAX);
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
            let began = Instant::now();
            match self.keyless_batch(applier, &tries).await {
                Ok(rows) => {
                    self.count(applier, rows, began.elapsed());
                    return Ok(());
                }
                Err(stopped) => {
                    let by = self.texts.without_key.by.clone();
                    self.after_failure(applier, stopped, &mut tries, &by).await?;
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

    /// `by` is what stood in the place of the marker.
    async fn after_failure(
        &mut self,
        applier: &mut Applier<'_>,
        stopped: Stopped,
        tries: &mut Tries,
        by: &str,
    ) -> Result<()> {
        if let Stopped::Failed(error) = &stopped {
            // When the connection is gone there is nothing to roll back, and this fails as well.
            let _ = applier.session.execute("ROLLBACK").await;
            if is_transient(error) {
                self.size = (self.size / 2).max(FEWEST_ROWS);
                self.retries += 1;
                let cancel = applier.session.cancellation().clone();
                let place = format!("{}:{}", self.file.script.path.display(), self.statement.line);
                return tries.next(&place, applier.events, &cancel).await;
            }
        }
        let sent = match &self.statement.class {
            Class::Batched(batch) => Sent::Replaced { marker: &batch.marker, by },
            _ => Sent::Ours,
        };
        Err(stopped_in(sent, self.file, self.statement, true)(stopped))
    }

    fn count(&mut self, applier: &Applier<'_>, rows: u64, took: Duration) {
        self.rows += rows;
        self.seen += self.size;
        self.batches += 1;
        self.longest = self.longest.max(took);
        self.size = next_size(self.size, took, applier.limits.batch_time, applier.limits.batch_rows);
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            applier.events.emit(EventKind::Progress(Progress {
                unit: "rows".into(),
                done: self.total.map_or(self.seen, |total| self.seen.min(total)),
                total: self.total,
                what: format!("{}:{}", self.file.script.path.display(), self.statement.line),
            }));
        }
    }

    async fn rest(&self, applier: &Applier<'_>, took: Duration) -> Result<()> {
        let cancel = applier.session.cancellation();
        tokio::select! {
            () = tokio::time::sleep(took.mul_f64(REST)) => Ok(()),
            () = cancel.cancelled() => Err(Error::Interrupted),
        }
    }
}

fn first_size(batch_rows: u64) -> u64 {
    (batch_rows / PROBE).max(FEWEST_ROWS).min(batch_rows)
}

/// Follows the time budget, by steps that are not too long, within its bounds.
fn next_size(size: u64, took: Duration, budget: Duration, batch_rows: u64) -> u64 {
    // The probe is left behind at once, where there is time.
    let is_probe = size <= first_size(batch_rows) && size < batch_rows;
    let step_up = if is_probe { STEP_UP_FROM_PROBE } else { STEP_UP };
    let ratio = (budget.as_secs_f64() / took.as_secs_f64().max(0.001)).clamp(STEP_DOWN, step_up);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a row count far below 2^52, times a small number"
    )]
    let next = (size as f64 * ratio) as u64;
    next.clamp(FEWEST_ROWS.min(batch_rows), batch_rows.saturating_mul(MOST_GROWTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_follows_the_time_within_bounds() {
        let budget = Duration::from_millis(100);
        let next = |size, milliseconds| next_size(size, Duration::from_millis(milliseconds), budget, 5_000);
        assert_eq!(next(5_000, 50), 10_000);
        assert_eq!(next(5_000, 10), 10_000);
        assert_eq!(next(5_000, 400), 1_250);
        assert_eq!(next(5_000, 9_000), 500);
        assert_eq!(next(50_000, 1), 50_000);
        assert_eq!(next(120, 900), 100);
        // From the probe on.
        assert_eq!(first_size(5_000), 500);
        assert_eq!([next(500, 5), next(500, 50), next(500, 900)], [5_000, 1_000, 100]);
        assert_eq!([first_size(100), first_size(7)], [100, 7]);
    }
}
