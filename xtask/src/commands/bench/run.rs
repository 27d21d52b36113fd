//! Measures the figures one after the other, and prints each as soon as it is known.

use std::io::Write;

use rehearsal::report::format::{count, plural};

use super::figure::{Figure, Line};
use super::place::Place;
use crate::exit;
use crate::shell::Shell;

/// What decides how fast a server writes; the same server serves both sides of a pair.
const SETTINGS: &str = "SELECT string_agg(name || '=' || current_setting(name), ' ' ORDER BY name) FROM pg_settings \
    WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'autovacuum')";

pub async fn run(shell: Shell, rows: u64, only: Option<&str>) -> anyhow::Result<()> {
    let figures = chosen(only)?;
    let place = Place::open(rows, shell.environment.clone(), shell.cancel.clone()).await?;
    let outcome = measure(&shell, &place, &figures).await;
    // Whatever happened, nothing of it stays.
    place.close().await;
    outcome
}

fn chosen(only: Option<&str>) -> anyhow::Result<Vec<Box<dyn Figure>>> {
    let names: Vec<&str> = super::figures().iter().map(|figure| figure.name()).collect();
    let chosen: Vec<_> =
        super::figures().into_iter().filter(|figure| only.is_none_or(|only| figure.name().contains(only))).collect();
    if chosen.is_empty() {
        let what = only.unwrap_or_default();
        return Err(exit::usage(
            format!("no figure's name contains `{what}`"),
            format!("there are: {}", names.join(", ")),
        ));
    }
    Ok(chosen)
}

async fn measure(shell: &Shell, place: &Place, figures: &[Box<dyn Figure>]) -> anyhow::Result<()> {
    let (mut met, mut missed) = (0u64, 0u64);
    head(shell, place).await?;
    for figure in figures {
        let lines = figure.measure(place).await;
        if place.cancel.is_cancelled() {
            return Err(rehearsal::Error::Interrupted.into());
        }
        for line in lines? {
            if let Line::Measured(measured) = &line {
                match measured.is_met() {
                    Some(true) => met += 1,
                    Some(false) => missed += 1,
                    None => {}
                }
            }
            let text = if shell.common.json { line.json().to_string() } else { line.text() };
            writeln!(shell.out(), "{text}")?;
        }
    }
    if !shell.common.json {
        writeln!(shell.out(), "{met} met, {missed} missed")?;
    }
    Ok(())
}

async fn head(shell: &Shell, place: &Place) -> anyhow::Result<()> {
    let profile = if cfg!(debug_assertions) { "dev, as `cargo xtask` builds it" } else { "release" };
    let sandbox = place.sandbox();
    let settings = place.value("postgres", SETTINGS).await?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if shell.common.json {
        let head = serde_json::json!({
            "profile": profile, "server": sandbox.version(), "provider": sandbox.provider(), "settings": settings,
            "cores": cores, "rows": place.rows,
        });
        writeln!(shell.out(), "{head}")?;
        return Ok(());
    }
    writeln!(
        shell.out(),
        "profile: {profile}; {}; the big table has {} rows\n\
         server of both sides: PostgreSQL {} ({}), {settings}\n\
         pairs are run in turn, A B A B; a ratio is of one pair, ours over theirs\n\n{}",
        plural(cores as u64, "core"),
        count(place.rows),
        sandbox.version(),
        sandbox.provider(),
        Line::head()
    )?;
    Ok(())
}
