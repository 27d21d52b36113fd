//! This workspace's own newest release, rehearsed on as many rows as the big table has: how long it
//! takes, and how much memory this program needs meanwhile.

use std::io;
use std::path::Path;

use anyhow::Context as _;
use async_trait::async_trait;
use rehearsal::report::format::count;

use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Spread, Unit};

/// "In minutes".
const LIMIT_SECONDS: f64 = 600.0;
const LIMIT_MEGABYTES: f64 = 256.0;

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
        let (took, memory) = place.watched(&mut command).await?;
        let took = took.as_secs_f64();
        let what = format!("`rehearse --rows {}`", count(place.rows));
        let peak = format!("  peak memory of {what}");
        Ok(vec![
            Line::Measured(Measured {
                what,
                spread: Spread::of(&[took]),
                unit: Unit::Seconds,
                limit: Some((LIMIT_SECONDS, By::Worst)),
                detail: "this workspace's newest release: there, back, and there again".into(),
            }),
            match memory {
                None => Line::Skipped {
                    what: peak,
                    reason: "this system does not tell a process's peak memory in /proc".into(),
                },
                Some(memory) => Line::Measured(Measured {
                    what: peak,
                    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                    spread: Spread::of(&[memory.peak as f64 / 1e6]),
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
