//! `rollback --to 0` of two hundred migrations, against `sqlx migrate revert --target-version 0`.
//!
//! Ours makes a backup first and proves it, which sqlx does not: that is told, and taken off.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use rehearsal::target::Target;
use serde_json::Value;

use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Spread, Unit};
use super::small_files::files;
use crate::exit;

const PAIRS: usize = 7;
const MIGRATIONS: usize = 200;
const LIMIT: f64 = 1.0;
const TEMPLATE: &str = "bench_revert_from";
const DATABASE: &str = "bench_revert";

/// See the module.
pub struct RevertAll;

#[async_trait(?Send)]
impl Figure for RevertAll {
    fn name(&self) -> &'static str {
        "revert-all"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(files(MIGRATIONS))?;
        let folder = folder.path();
        let target = place.fresh(TEMPLATE, None).await?;
        place.time(&mut place.ours(folder, Some(&target), &["migrate"])).await?;
        let backups = RefCell::new(Vec::new());
        let words = ["rollback", "--to", "0", "--yes", "--json", "--provider", "local"];
        let ours = async || {
            reverted(place, async |target| {
                let (took, written) = place.output(&mut place.ours(folder, Some(target), &words)).await?;
                let backup = backup_of(&written)?;
                backups.borrow_mut().push(backup);
                Ok(took.saturating_sub(backup))
            })
            .await
        };
        let words = ["sqlx", "migrate", "revert", "--target-version", "0"];
        let theirs = async || {
            reverted(place, async |target| place.time(&mut place.ours(folder, Some(target), &words)).await).await
        };
        let pairs = Pairs::take(PAIRS, true, ours, theirs).await?;
        for database in [DATABASE, TEMPLATE] {
            place.sandbox().drop_database(database, &place.cancel).await?;
        }
        Ok(vec![Line::Measured(Measured {
            what: format!("revert all of {MIGRATIONS} / `sqlx migrate revert`"),
            spread: pairs.ratios(),
            unit: Unit::Ratio,
            limit: Some((LIMIT, By::Median)),
            detail: format!(
                "{}; its proven backup took another {}",
                pairs.detail("rollback", "sqlx"),
                Unit::Seconds.show(Spread::of_times(&backups.borrow()).median)
            ),
        })])
    }
}

/// Runs it on a fresh copy, and looks whether nothing is left.
async fn reverted(
    place: &Place,
    run: impl AsyncFnOnce(&Target) -> anyhow::Result<Duration>,
) -> anyhow::Result<Duration> {
    let target = place.fresh(DATABASE, Some(TEMPLATE)).await?;
    let took = run(&target).await?;
    let left = place.value(DATABASE, "SELECT count(*) FROM _sqlx_migrations").await?;
    if left != "0" {
        return Err(exit::failed(format!("{left} were not reverted"), "this is a fault of the benchmark itself"));
    }
    Ok(took)
}

/// How long the backup took, which is the first step.
fn backup_of(events: &str) -> anyhow::Result<Duration> {
    let mut events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let backup = events.find(|event| event["event"] == "step-finished" && event["index"] == 0);
    let took = backup.and_then(|event| event["duration_ms"].as_u64()).context("no step has ended")?;
    Ok(Duration::from_millis(took))
}
