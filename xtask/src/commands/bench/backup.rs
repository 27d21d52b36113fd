//! A backup, with digests and fingerprints of all that is in it, against the least that reading the same
//! tables can cost (COPY to /dev/null) and against pg_dump alone, which proves nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use rehearsal::backup::manifest::Manifest;
use rehearsal::report::format::{bytes, count};
use rehearsal::target::Target;

use super::cost::{Memory, processor_time};
use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Pairs, Spread, Unit};
use super::users;

const PAIRS: usize = 3;

/// Issue 5: CPU as a multiple of COPY's with gzip 1, size as a share of the text, time against pg_dump.
const CPU_LIMIT: f64 = 3.3;
const SIZE_LIMIT: f64 = 0.4;
const SAME_LIMIT: f64 = 1.15;
const DEFAULT_LIMIT: f64 = 0.4;
const MEMORY_LIMIT: f64 = 64.0;

/// With its proof, against the default pg_dump without one.
const PROVEN_LIMIT: f64 = 0.5;

/// The database that is backed up: the big table, and three rows of another one for each of its rows.
const DATABASE: &str = "bench_backup";

const EVENTS: &[&str] = &[
    "CREATE TABLE events (id bigint PRIMARY KEY, user_id bigint NOT NULL, kind text NOT NULL, at timestamptz NOT NULL, details jsonb)",
    "INSERT INTO events SELECT g, 1 + g % (SELECT count(*) FROM users), (ARRAY['login', 'logout', 'course_opened', 'task_done'])[1 + g % 4], \
         timestamptz '2024-01-01 00:00:00+00' + interval '7 seconds' * g, \
         jsonb_build_object('address', format('10.%s.%s.%s', g % 7, g % 251, g % 199), 'agent', 'Mozilla/5.0 (X11; Linux x86_64)', 'took', g % 997) \
     FROM generate_series(1, 3 * (SELECT count(*) FROM users)) AS g",
    "VACUUM (FREEZE, ANALYZE) events",
    "ALTER TABLE events SET (autovacuum_enabled = off)",
    "CHECKPOINT",
];

const COPIES: &[&str] = &["COPY users TO '/dev/null'", "COPY events TO '/dev/null'"];

/// See the module.
pub struct Backup;

/// What one kind of run took, round by round.
#[derive(Default)]
struct Taken {
    times: Vec<Duration>,
    work: Vec<Duration>,
}

impl Taken {
    async fn take(
        &mut self,
        postmaster: u32,
        run: impl Future<Output = anyhow::Result<Duration>>,
    ) -> anyhow::Result<()> {
        let before = processor_time(postmaster);
        self.times.push(run.await?);
        if let (Some(before), Some(after)) = (before, processor_time(postmaster)) {
            self.work.push(after.saturating_sub(before));
        }
        Ok(())
    }
}

/// All that is compared.
#[derive(Default)]
struct Rounds {
    backup: Taken,
    proven: Taken,
    copy: Taken,
    same: Taken,
    default: Taken,
    memories: Vec<Memory>,
    stored: u64,
    text: u64,
}

#[async_trait(?Send)]
impl Figure for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(users::files())?;
        let folder = folder.path();
        users::ensure(place, folder).await?;
        let target = place.fresh(DATABASE, Some(users::TEMPLATE)).await?;
        place.execute(DATABASE, EVENTS).await?;
        let mut rounds = Rounds::default();
        for _ in 0..PAIRS {
            rounds.go(place, folder, &target).await?;
        }
        Ok(rounds.lines(place.rows))
    }
}

impl Rounds {
    async fn go(&mut self, place: &Place, folder: &Path, target: &Target) -> anyhow::Result<()> {
        let postmaster = place.postmaster().await?;
        let pg_dump = place.server_program("pg_dump")?;
        let url = format!("--dbname={}", target.sandbox_url());
        let backups = folder.join("backups");
        let ours = async |proof: &str, memories: &mut Vec<Memory>| {
            let arguments = ["db-backup", "--provider", "local", "--proof", proof];
            let (took, memory) = place.watched(&mut place.ours(folder, Some(target), &arguments)).await?;
            memories.extend(memory);
            anyhow::Ok(took)
        };
        let theirs = async |arguments: &[&str]| {
            std::fs::create_dir_all(&backups)?;
            let into = format!("--file={}", backups.join("theirs").display());
            let arguments: Vec<&str> = arguments.iter().copied().chain([into.as_str(), url.as_str()]).collect();
            place.time(&mut place.theirs(&pg_dump, folder, None, &arguments)).await
        };
        let clear = || std::fs::remove_dir_all(&backups).context("cannot remove what was measured");
        self.backup.take(postmaster, ours("none", &mut self.memories)).await?;
        let manifest = only_manifest(&backups)?;
        self.stored = manifest.bytes();
        self.text = manifest.tables.iter().map(|table| table.bytes).sum();
        clear()?;
        let copy = async {
            let began = std::time::Instant::now();
            place.execute(DATABASE, COPIES).await?;
            Ok(began.elapsed())
        };
        self.copy.take(postmaster, copy).await?;
        self.same.take(postmaster, theirs(&["--format=directory", "--jobs=2", "--compress=1"])).await?;
        clear()?;
        self.default.take(postmaster, theirs(&["--format=custom"])).await?;
        clear()?;
        self.proven.take(postmaster, ours("full", &mut self.memories)).await?;
        clear()
    }

    fn lines(self, rows: u64) -> Vec<Line> {
        let ratio = |what: &str, pairs: Pairs, limit: f64, ours: &str, theirs: &str| {
            if pairs.is_empty() {
                return Line::Skipped { what: what.into(), reason: "this system does not tell it in /proc".into() };
            }
            let (spread, detail) = (pairs.ratios(), pairs.detail(ours, theirs));
            let limit = Some((limit, By::Median));
            Line::Measured(Measured { what: what.into(), spread, unit: Unit::Ratio, limit, detail })
        };
        let backup = "backup without a proof";
        let head = format!("backup of {} + {} rows", count(rows), count(3 * rows));
        let cpu = Pairs::of(self.backup.work, self.copy.work);
        let same = Pairs::of(self.backup.times.clone(), self.same.times);
        let default = Pairs::of(self.backup.times, self.default.times.clone());
        let proven = Pairs::of(self.proven.times, self.default.times);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (size, peaks): (f64, Vec<f64>) = (
            self.stored as f64 / self.text as f64,
            self.memories.iter().map(|memory| memory.peak as f64 / 1e6).collect(),
        );
        let mut lines = vec![
            ratio(
                &format!("CPU of a {head} / COPY to /dev/null"),
                cpu,
                CPU_LIMIT,
                "CPU of server, pg_dump and us",
                "of COPY",
            ),
            Line::Measured(Measured {
                what: "  its size / that of the text".into(),
                spread: Spread::of(&[size]),
                unit: Unit::Ratio,
                limit: Some((SIZE_LIMIT, By::Median)),
                detail: format!("{} of {}", bytes(self.stored), bytes(self.text)),
            }),
            ratio("  its time / `pg_dump -Fd -j2 -Z1` alone", same, SAME_LIMIT, backup, "pg_dump -Fd -j2 -Z1"),
            ratio("  its time / `pg_dump -Fc`", default, DEFAULT_LIMIT, backup, "pg_dump -Fc"),
            ratio("  with its proof / `pg_dump -Fc`", proven, PROVEN_LIMIT, "all of `db-backup`", "pg_dump -Fc"),
        ];
        lines.push(if peaks.is_empty() {
            Line::Skipped { what: "  its peak memory".into(), reason: "this system does not tell it in /proc".into() }
        } else {
            Line::Measured(Measured {
                what: "  its peak memory".into(),
                spread: Spread::of(&peaks),
                unit: Unit::Megabytes,
                limit: Some((MEMORY_LIMIT, By::Worst)),
                detail: "our own process, with and without a proof".into(),
            })
        });
        lines
    }
}

/// The one backup that is there.
fn only_manifest(backups: &Path) -> anyhow::Result<Manifest> {
    Ok(Manifest::read(&only_backup(backups)?).map_err(rehearsal::Error::from)?)
}

/// Its folder.
pub(super) fn only_backup(backups: &Path) -> anyhow::Result<PathBuf> {
    let of_targets = std::fs::read_dir(backups)?.filter_map(|entry| std::fs::read_dir(entry.ok()?.path()).ok());
    Ok(of_targets.flatten().next().context("nothing was backed up")??.path())
}
