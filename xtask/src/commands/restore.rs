//! `restore`: a backup into a new database beside the old one.

use std::path::PathBuf;

use rehearsal::backup::manifest;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::shell::Shell;

pub async fn run(shell: Shell, backup: Option<PathBuf>, into: Option<String>) -> anyhow::Result<()> {
    let target = shell.target()?;
    let backup = match backup {
        Some(backup) => backup,
        None => manifest::newest(&shell.config.backup.to, target.name()).map_err(rehearsal::Error::from)?,
    };
    let into = into
        .unwrap_or_else(|| format!("{}_restored_{}", target.database(), rehearsal::run::timestamp().to_lowercase()));
    let command = Command {
        name: "restore",
        target: target.to_string(),
        retry: None,
        release: None,
        next: Some(format!("look at database {into}; to go over to it, rename it or point the service to it")),
        steps: lists::restore(backup, into),
    };
    let settings = shell.settings(None);
    let workspace = shell.workspace()?;
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}
