//! A backfill in batches, against one plain UPDATE, with nobody else on the table.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rehearsal::postgres::query::Stopped;
use rehearsal::report::format::count;
use rehearsal::target::Target;

use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Unit};
use super::users;
use crate::exit;

const PAIRS: usize = 5;
const LIMIT: f64 = 1.1;
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
        let ours = async || on_a_copy(place, async |target| migrate(place, folder, target).await).await;
        let theirs = async || on_a_copy(place, async |_| update(place, DATABASE).await).await;
        let pairs = Pairs::take(PAIRS, false, ours, theirs).await?;
        place.sandbox().drop_database(DATABASE, &place.cancel).await?;
        Ok(vec![Line::Measured(Measured {
            what: format!("backfill of {} rows / one UPDATE", count(place.rows)),
            spread: pairs.ratios(),
            unit: Unit::Ratio,
            limit: Some((LIMIT, By::Median)),
            detail: pairs.detail("all of `migrate`", "the UPDATE alone"),
        })])
    }
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
