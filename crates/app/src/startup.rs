//! The schema at start: brought up to date, or only looked at, by the same library that carries
//! out the releases. Several replicas may start at once.

use anyhow::{Context, bail};
use migrations::MIGRATIONS;
use rehearsal::startup::{RefusedFile, StartupOutcome, StartupPolicy};

use crate::Config;

/// The newest version that this code cannot do without, at most the `expand` of its own release in
/// rehearsal.toml. What comes behind it only takes away what the release before still uses.
const NEEDED: i64 = 22;

/// Looks at the database's schema, applies what is pending if the policy says so, and logs both,
/// also when there was nothing to do: silence in a log could as well mean that nobody looked.
///
/// # Errors
/// When the database cannot be reached, a migration fails, or the policy leaves one pending that this
/// code needs.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let outcome = rehearsal::startup::migrate(config.database_url.expose(), &MIGRATIONS, config.migrate.clone())
        .await
        .context("failed to prepare the database schema")?;

    let StartupOutcome { known, current, applied, pending, refused, ahead } = outcome;
    let policy = config.migrate.policy;
    if policy == StartupPolicy::Off {
        tracing::info!(%policy, "database schema not looked at");
    } else if !pending.is_empty() {
        let refused = refused.as_ref().map(tracing::field::display);
        tracing::warn!(%policy, known, ?current, ?applied, ?pending, refused, "migrations left pending");
    } else if applied.is_empty() {
        tracing::info!(%policy, known, ?current, "database schema checked: nothing to apply");
    } else {
        tracing::info!(%policy, known, ?current, ?applied, "database schema brought up to date");
    }
    if !ahead.is_empty() {
        tracing::info!(?ahead, "the database knows later migrations than this service");
    }
    let Some(version) = pending.first().filter(|version| **version <= NEEDED) else { return Ok(()) };
    let why = refused.map_or_else(
        || format!("version {version} is pending"),
        |RefusedFile { place, reason, .. }| format!("not all of it is for a start: {place}: {reason}"),
    );
    bail!(
        "this service needs version {NEEDED} of the schema, and {why}; \
         run `cargo xtask migrate --target NAME --to {NEEDED}`"
    )
}
