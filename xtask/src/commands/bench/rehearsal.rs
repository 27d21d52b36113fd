//! This workspace's own newest release, rehearsed on as many rows as the big table has: how long it
//! takes, and how much memory this program needs meanwhile.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use rehearsal::report::format::count;

use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Spread, Unit};
use crate::exit;

/// "In minutes".
const LIMIT_SECONDS: f64 = 600.0;
const LIMIT_MEGABYTES: f64 = 256.0;

/// The kernel keeps the peak itself: a look now and then is enough to see the last one.
const POLL: Duration = Duration::from_millis(20);

/// What a workspace keeps in files.
const PARTS: &[&str] = &["rehearsal.toml", "sqlx.toml", "migrations"];

/// See the module.
pub struct Rehearsal;

#[async_trait(?Send)]
impl Figure for Rehearsal {
    fn name(&self) -> &'static str {
        "rehearse"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let mut files = Vec::new();
        for part in PARTS {
            read(Path::new(part), &mut files).with_context(|| format!("cannot read {part}"))?;
        }
        let folder = workspace(files)?;
        let rows = place.rows.to_string();
        let mut command =
            place.ours(folder.path(), None, &["rehearse", "--rows", &rows, "--provider", "local", "--quiet"]);
        let began = Instant::now();
        let child = command.spawn().context("cannot start this program again")?;
        let watching = child.id().map(|id| tokio::spawn(peak(id)));
        let output = tokio::select! {
            output = child.wait_with_output() => output?,
            () = place.cancel.cancelled() => return Err(rehearsal::Error::Interrupted.into()),
        };
        let took = began.elapsed().as_secs_f64();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(exit::failed(format!("the rehearsal failed: {said}"), "run `cargo xtask rehearse`"));
        }
        let peak = match watching {
            Some(watching) => watching.await.ok().flatten(),
            None => None,
        };
        let what = format!("`rehearse --rows {}`", count(place.rows));
        let memory = format!("  peak memory of {what}");
        Ok(vec![
            Line::Measured(Measured {
                what,
                spread: Spread::of(&[took]),
                unit: Unit::Seconds,
                limit: Some((LIMIT_SECONDS, By::Worst)),
                detail: "this workspace's newest release: there, back, and there again".into(),
            }),
            match peak {
                None => Line::Skipped {
                    what: memory,
                    reason: "this system does not tell a process's peak memory in /proc".into(),
                },
                Some(bytes) => Line::Measured(Measured {
                    what: memory,
                    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                    spread: Spread::of(&[bytes as f64 / 1e6]),
                    unit: Unit::Megabytes,
                    limit: Some((LIMIT_MEGABYTES, By::Worst)),
                    detail: String::new(),
                }),
            },
        ])
    }
}

/// Text files below a path; one that is not there has none.
fn read(path: &Path, into: &mut Vec<(String, String)>) -> io::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            read(&entry?.path(), into)?;
        }
    } else if path.is_file() {
        into.push((path.display().to_string(), std::fs::read_to_string(path)?));
    }
    Ok(())
}

/// The most memory that a process has had, in bytes; looked at until it is gone.
async fn peak(id: u32) -> Option<u64> {
    let mut last = None;
    loop {
        let status = tokio::fs::read_to_string(format!("/proc/{id}/status")).await.unwrap_or_default();
        // A process that has ended has no memory any more, and no such line.
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        match line {
            Some(kilobytes) => last = Some(kilobytes * 1024),
            None => return last,
        }
        tokio::time::sleep(POLL).await;
    }
}
