//! `db-backup prune`: shows what no rule keeps, asks, and removes it.

use std::io::Write;

use chrono::Utc;
use rehearsal::backup::repository::retention::{self, Decision};
use rehearsal::backup::repository::{Repository, attempts};
use rehearsal::report::backups;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::exit;
use crate::shell::Shell;

pub async fn run(shell: Shell, dry_run: bool) -> anyhow::Result<()> {
    let repository = super::run::repository(&shell)?;
    let keep = shell.config.backup.keep;
    if keep.is_empty() {
        return Err(exit::usage(
            "rehearsal.toml does not say which backups are to stay",
            "add [backup.keep] with last, daily, weekly, monthly or yearly",
        ));
    }
    let now = Utc::now();
    let entries = repository.entries().await?;
    let decisions = retention::decide(&entries, &keep, now);
    let newest = entries.iter().rev().filter(|entry| !entry.is_of_the_future(now)).find_map(|entry| entry.proven());
    let since = newest.map(|manifest| manifest.made_at);
    let doubt = retention::doubt(&entries, now)
        .or_else(|| attempts::failed_since(&shell.config.records.to, repository.target(), since));
    let abandoned = match doubt {
        None => repository.abandoned(&entries).await.map_err(rehearsal::Error::from)?,
        Some(_) => Vec::new(),
    };
    show(&shell, &repository, &decisions, &abandoned, doubt.as_deref())?;
    if doubt.is_some() {
        return Ok(());
    }
    let removed: Vec<String> =
        decisions.into_iter().filter(|decision| decision.removed).map(|decision| decision.id).collect();
    if dry_run || (removed.is_empty() && abandoned.is_empty()) {
        return Ok(());
    }
    shell.confirm_removal("these backups", repository.target())?;
    let name = repository.target().to_owned();
    let steps = lists::prune(name.clone(), removed, abandoned);
    let command = Command { name: "db-backup-prune", target: name, retry: None, release: None, steps, next: None };
    let (settings, workspace) = (shell.settings(None), shell.workspace()?);
    shell.run(command, workspace, settings, None, |_| {}).await
}

/// What is going to be removed, and why nothing is where there is a doubt.
fn show(
    shell: &Shell,
    repository: &Repository,
    decisions: &[Decision],
    abandoned: &[String],
    doubt: Option<&str>,
) -> anyhow::Result<()> {
    let mut out = shell.out();
    if shell.common.json {
        let shown = serde_json::json!({ "decisions": decisions, "abandoned": abandoned, "skipped": doubt });
        writeln!(out, "{shown}")?;
        return Ok(());
    }
    backups::write_decisions(&mut out, &repository.place(), decisions, abandoned)?;
    if let Some(doubt) = doubt {
        writeln!(out, "nothing is removed: {doubt}\n what to do: make a proven one with `cargo xtask db-backup`")?;
    }
    Ok(())
}
