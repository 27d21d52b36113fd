//! The schema at start: brought up to date, or only looked at, by the same library that carries
//! out the releases. Several replicas may start at once.

use anyhow::Context;
use migrations::MIGRATIONS;

use crate::Config;

/// Looks at the database's schema, applies what is pending if the policy says so, and logs both,
/// also when there was nothing to do: silence in a log could as well mean that nobody looked.
///
/// # Errors
/// When the database cannot be reached, a migration fails, or the policy refuses to start.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let outcome = rehearsal::startup::migrate(config.database_url.expose(), &MIGRATIONS, config.migrate)
        .await
        .context("failed to prepare the database schema")?;

    let (current, applied, pending) = (outcome.current, outcome.applied, outcome.pending);
    let policy = config.migrate;
    if !pending.is_empty() {
        tracing::warn!(?policy, ?current, ?applied, ?pending, "migrations left pending");
    } else if applied.is_empty() {
        tracing::info!(?policy, ?current, "database schema checked: nothing to apply");
    } else {
        tracing::info!(?policy, ?current, ?applied, "database schema brought up to date");
    }
    Ok(())
}
