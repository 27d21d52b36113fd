//! A restore with its proof against a bare `pg_restore -j2` of the same dump, and a reset of a sandbox's database
//! against that restore.

use std::time::Instant;

use anyhow::Context as _;
use async_trait::async_trait;
use rehearsal::backup::manifest::DUMP_FOLDER;
use rehearsal::report::format::count;

use super::backup::only_backup;
use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Unit};
use super::users;

const PAIRS: usize = 5;
const RESTORE_LIMIT: f64 = 1.5;
const RESET_LIMIT: f64 = 0.2;

/// What is restored, by us and by the others.
const OURS: &str = "bench_restored";
const THEIRS: &str = "bench_bare";
const COPY: &str = "bench_reset";

/// See the module.
pub struct Restore;

#[async_trait(?Send)]
impl Figure for Restore {
    fn name(&self) -> &'static str {
        "restore"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(users::files())?;
        let folder = folder.path();
        users::ensure(place, folder).await?;
        let target = place.database(users::TEMPLATE);
        place.time(&mut place.ours(folder, Some(&target), &["db-backup", "--provider", "local"])).await?;
        let backup = only_backup(&folder.join("backups"))?;
        let dump = backup.join(DUMP_FOLDER);
        let dump = dump.to_str().context("the temporary folder's name is no text")?;
        let pg_restore = place.server_program("pg_restore")?;
        let ours = async || {
            place.sandbox().drop_database(OURS, &place.cancel).await?;
            place.time(&mut place.ours(folder, Some(&target), &["restore", "--into", OURS])).await
        };
        let url = format!("--dbname={}", place.database(THEIRS).sandbox_url());
        let theirs = async || {
            place.fresh(THEIRS, None).await?;
            place.time(&mut place.theirs(&pg_restore, folder, None, &["--exit-on-error", "--jobs=2", &url, dump])).await
        };
        let restores = Pairs::take(PAIRS, true, ours, theirs).await?;
        let reset = async || {
            let began = Instant::now();
            place.sandbox().copy_database(&place.database(THEIRS), COPY, &place.cancel).await?;
            Ok(began.elapsed())
        };
        // The first one has no database to drop; what is measured is one more pass.
        let resets = Pairs::take(PAIRS, true, reset, theirs).await?;
        let line = |what: String, pairs: &Pairs, limit: f64, ours: &str| {
            Line::Measured(Measured {
                what,
                spread: pairs.ratios(),
                unit: Unit::Ratio,
                limit: Some((limit, By::Median)),
                detail: pairs.detail(ours, "pg_restore -j2"),
            })
        };
        Ok(vec![
            line(
                format!("restore of {} rows with its proof / `pg_restore -j2`", count(place.rows)),
                &restores,
                RESTORE_LIMIT,
                "all of `restore`",
            ),
            line("  reset of a sandbox / its first restore".into(), &resets, RESET_LIMIT, "drop and copy"),
        ])
    }
}
