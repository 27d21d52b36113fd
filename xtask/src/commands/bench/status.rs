//! `status`, against `sqlx migrate info`: what people type when they want to know where they are.

use async_trait::async_trait;

use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Unit};
use super::small_files::files;

const PAIRS: usize = 20;
const MIGRATIONS: usize = 200;
const LIMIT: f64 = 1.0;
const DATABASE: &str = "bench_status";

/// See the module.
pub struct Status;

#[async_trait(?Send)]
impl Figure for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(files(MIGRATIONS))?;
        let folder = folder.path();
        let target = place.fresh(DATABASE, None).await?;
        place.time(&mut place.ours(folder, Some(&target), &["migrate"])).await?;
        let ours = async || place.time(&mut place.ours(folder, Some(&target), &["status"])).await;
        let theirs = async || place.time(&mut place.ours(folder, Some(&target), &["sqlx", "migrate", "info"])).await;
        let pairs = Pairs::take(PAIRS, true, ours, theirs).await?;
        place.sandbox().drop_database(DATABASE, &place.cancel).await?;
        Ok(vec![Line::Measured(Measured {
            what: format!("`status` of {MIGRATIONS} migrations / `sqlx migrate info`"),
            spread: pairs.ratios(),
            unit: Unit::Ratio,
            limit: Some((LIMIT, By::Median)),
            detail: pairs.detail("status", "info"),
        })])
    }
}
