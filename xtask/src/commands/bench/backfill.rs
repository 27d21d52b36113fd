//! A backfill in batches, against one plain UPDATE, with nobody else on the table: how long it takes, how
//! much work it is, and whether it takes more memory the longer it goes on.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rehearsal::postgres::query::Stopped;
use rehearsal::report::format::count;
use rehearsal::target::Target;

use super::cost::{Memory, processor_time};
use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Spread, Unit};
use super::users;
use crate::exit;

const PAIRS: usize = 5;
/// 0.9 times the rows of the one UPDATE in the same time.
const LIMIT: f64 = 1.0 / 0.9;
const LIMIT_CPU: f64 = 1.1;
/// The second half of the rows adds nothing but what an allocator rounds up.
const LIMIT_MEMORY: f64 = 1.1;
const DATABASE: &str = "bench_backfill";

/// See the module.
pub struct Backfill;

#[async_trait(?Send)]
impl Figure for Backfill {
    fn name(&self) -> &'static str {
        "backfill"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(users::files())?;
        let folder = folder.path();
        users::ensure(place, folder).await?;
        let postmaster = place.postmaster().await?;
        let (our_work, their_work) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let memories = RefCell::new(Vec::new());
        let ours = async || {
            let run = async |target: &Target| {
                let (took, memory) = place.watched(&mut place.ours(folder, Some(target), &["migrate"])).await?;
                memories.borrow_mut().extend(memory);
                Ok(took)
            };
            on_a_copy(place, async |target| counted(postmaster, &our_work, run(target)).await).await
        };
        let theirs =
            async || on_a_copy(place, async |_| counted(postmaster, &their_work, update(place, DATABASE)).await).await;
        let pairs = Pairs::take(PAIRS, false, ours, theirs).await?;
        place.sandbox().drop_database(DATABASE, &place.cancel).await?;
        let time = Line::Measured(Measured {
            what: format!("backfill of {} rows / one UPDATE", count(place.rows)),
            spread: pairs.ratios(),
            unit: Unit::Ratio,
            limit: Some((LIMIT, By::Median)),
            detail: pairs.detail("all of `migrate`", "the UPDATE alone"),
        });
        let work = Pairs::of(our_work.into_inner(), their_work.into_inner());
        Ok(vec![time, work_line(&work), memory_line(&memories.into_inner())])
    }
}

/// Client and server together.
fn work_line(work: &Pairs) -> Line {
    let what = "  its processor time / the UPDATE's".to_owned();
    if work.is_empty() {
        return Line::Skipped { what, reason: "this system does not tell processor times in /proc".into() };
    }
    Line::Measured(Measured {
        what,
        spread: work.ratios(),
        unit: Unit::Ratio,
        limit: Some((LIMIT_CPU, By::Median)),
        detail: work.detail("client and server", "server"),
    })
}

fn memory_line(memories: &[Memory]) -> Line {
    let what = "  its peak memory / that of its first half".to_owned();
    if memories.is_empty() {
        return Line::Skipped { what, reason: "this system does not tell a process's peak memory in /proc".into() };
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (ratios, peaks): (Vec<f64>, Vec<f64>) = memories
        .iter()
        .map(|memory| (memory.peak as f64 / memory.peak_of_first_half as f64, memory.peak as f64 / 1e6))
        .unzip();
    Line::Measured(Measured {
        what,
        spread: Spread::of(&ratios),
        unit: Unit::Ratio,
        limit: Some((LIMIT_MEMORY, By::Worst)),
        detail: format!("the client, {} at the most", Unit::Megabytes.show(Spread::of(&peaks).max)),
    })
}

/// Runs it, and keeps how much work it was.
async fn counted(
    postmaster: u32,
    work: &RefCell<Vec<Duration>>,
    run: impl Future<Output = anyhow::Result<Duration>>,
) -> anyhow::Result<Duration> {
    let before = processor_time(postmaster);
    let took = run.await?;
    if let (Some(before), Some(after)) = (before, processor_time(postmaster)) {
        work.borrow_mut().push(after.saturating_sub(before));
    }
    Ok(took)
}

async fn on_a_copy(
    place: &Place,
    run: impl AsyncFnOnce(&Target) -> anyhow::Result<Duration>,
) -> anyhow::Result<Duration> {
    let target = place.fresh(DATABASE, Some(users::TEMPLATE)).await?;
    let took = run(&target).await?;
    let left = users::undecided(place, DATABASE).await?;
    if left != "0" {
        return Err(exit::failed(format!("{left} rows were left out"), "a backfill that leaves rows out has no speed"));
    }
    Ok(took)
}

/// Ours, as the whole process that a user starts.
pub(super) async fn migrate(place: &Place, folder: &Path, target: &Target) -> anyhow::Result<Duration> {
    place.time(&mut place.ours(folder, Some(target), &["migrate"])).await
}

/// Theirs: the statement alone, its commit included, on a connection that is open already.
pub(super) async fn update(place: &Place, database: &str) -> anyhow::Result<Duration> {
    let mut session = place.connect(database).await?;
    session
        .execute("SET statement_timeout = 0; SET lock_timeout = 0")
        .await
        .map_err(Stopped::doing("prepare the UPDATE"))?;
    let began = Instant::now();
    session.execute(users::UPDATE).await.map_err(Stopped::doing("run the UPDATE"))?;
    let took = began.elapsed();
    session.close().await;
    Ok(took)
}
