//! `db-backup upload`: sends what earlier runs could not.

use std::io::Write;

use rehearsal::anonymise::mark;
use rehearsal::backup::repository::staging;
use rehearsal::run::Command;
use rehearsal::steps::lists;
use rehearsal::steps::lists::Steps;

use crate::shell::Shell;

pub async fn run(shell: Shell) -> anyhow::Result<()> {
    let place = super::run::repository(&shell)?.place();
    let name = shell.target_name().to_owned();
    let mut steps = Vec::new();
    for folder in [name.clone(), mark::folder_name(&name)] {
        steps.extend(waiting(&shell, &folder)?);
    }
    if steps.is_empty() {
        writeln!(shell.out(), "{name}: nothing waits to be sent to {place}")?;
        return Ok(());
    }
    let command = Command { name: "db-backup-upload", target: name, retry: None, release: None, steps, next: None };
    let (settings, workspace) = (shell.settings(None), shell.workspace()?);
    shell.run(command, workspace, settings, None, |_| {}).await
}

/// Sends what waits in a target's folder; no step where nothing does, or nothing is sent from there.
pub fn waiting(shell: &Shell, folder: &str) -> anyhow::Result<Steps> {
    if !shell.config.backup.is_staged() {
        return Ok(Steps::new());
    }
    let waiting = staging::pending(&shell.config.backup.staging, folder).map_err(rehearsal::Error::from)?;
    Ok(if waiting.is_empty() { Steps::new() } else { lists::upload(folder.to_owned(), waiting) })
}
