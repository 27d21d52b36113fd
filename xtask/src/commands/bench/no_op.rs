//! `migrate` when nothing is pending, against `sqlx migrate run`: what every deployment pays.

use std::path::PathBuf;

use async_trait::async_trait;

use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Unit};
use super::small_files::files;

const PAIRS: usize = 40;
const MIGRATIONS: usize = 20;
const LIMIT: f64 = 1.0;
const DATABASE: &str = "bench_no_op";

/// See the module.
pub struct NoOp;

#[async_trait(?Send)]
impl Figure for NoOp {
    fn name(&self) -> &'static str {
        "no-op"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(files(MIGRATIONS))?;
        let folder = folder.path();
        let target = place.fresh(DATABASE, None).await?;
        place.time(&mut place.ours(folder, Some(&target), &["migrate"])).await?;
        let ours = async || place.time(&mut place.ours(folder, Some(&target), &["migrate"])).await;
        let linked = async || place.time(&mut place.ours(folder, Some(&target), &["sqlx", "migrate", "run"])).await;
        let pairs = Pairs::take(PAIRS, true, ours, linked).await?;
        let mut lines = vec![line("`sqlx migrate run`", &pairs, Some((LIMIT, By::Median)))];
        // Another build of it, and usually an optimised one: told, but no like-for-like comparison.
        if let Some(installed) = installed() {
            let installed =
                async || place.time(&mut place.theirs(&installed, folder, Some(&target), &["migrate", "run"])).await;
            let pairs = Pairs::take(PAIRS, true, ours, installed).await?;
            lines.push(line("the `sqlx` on PATH", &pairs, None));
        }
        place.sandbox().drop_database(DATABASE, &place.cancel).await?;
        Ok(lines)
    }
}

fn line(theirs: &str, pairs: &Pairs, limit: Option<(f64, By)>) -> Line {
    Line::Measured(Measured {
        what: format!("no-op `migrate` / {theirs}"),
        spread: pairs.ratios(),
        unit: Unit::Ratio,
        limit,
        detail: pairs.detail("migrate", "sqlx"),
    })
}

/// sqlx-cli as `cargo install` puts it there.
pub(super) fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("sqlx")).find(|program| program.is_file())
}
