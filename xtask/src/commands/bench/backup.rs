//! A backup with its proof, against a bare `pg_dump -Fc` with its defaults, which proves nothing.

use async_trait::async_trait;
use rehearsal::report::format::count;

use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Unit};
use super::users;

const PAIRS: usize = 5;
const LIMIT: f64 = 0.5;

/// See the module.
pub struct Backup;

#[async_trait(?Send)]
impl Figure for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(users::files())?;
        let folder = folder.path();
        users::ensure(place, folder).await?;
        let target = place.database(users::TEMPLATE);
        let pg_dump = place.server_program("pg_dump")?;
        let url = format!("--dbname={}", target.sandbox_url());
        let file = folder.join("backups/theirs.dump");
        let into = format!("--file={}", file.display());
        let ours = async || {
            let took =
                place.time(&mut place.ours(folder, Some(&target), &["db-backup", "--provider", "local"])).await?;
            std::fs::remove_dir_all(folder.join("backups"))?;
            Ok(took)
        };
        let theirs = async || {
            std::fs::create_dir_all(folder.join("backups"))?;
            let took = place.time(&mut place.theirs(&pg_dump, folder, None, &["--format=custom", &into, &url])).await?;
            std::fs::remove_file(&file)?;
            Ok(took)
        };
        let pairs = Pairs::take(PAIRS, false, ours, theirs).await?;
        Ok(vec![Line::Measured(Measured {
            what: format!("backup of {} rows with its proof / `pg_dump -Fc`", count(place.rows)),
            spread: pairs.ratios(),
            unit: Unit::Ratio,
            limit: Some((LIMIT, By::Median)),
            detail: pairs.detail("all of `db-backup`", "pg_dump -Fc"),
        })])
    }
}
