//! `db-backup`: a backup that counts only once it was restored, or tables as files.

use rehearsal::backup::ProofLevel;
use rehearsal::backup::export::Wanted;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use super::upload::waiting;
use crate::cli::SandboxArgs;
use crate::shell::Shell;

pub async fn run(shell: Shell, wanted: Wanted, proof: Option<ProofLevel>, sandbox: &SandboxArgs) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let is_backup = wanted.tables.is_empty();
    let mut steps =
        if is_backup { lists::backup(proof.unwrap_or(shell.config.backup.proof)) } else { lists::export(wanted) };
    if is_backup {
        // What is proven already is safe before something new is begun.
        steps = waiting(&shell, target.name())?.into_iter().chain(steps).collect();
    }
    let command =
        Command { name: "db-backup", target: target.to_string(), retry: None, release: None, steps, next: None };
    let settings = shell.settings(Some(sandbox));
    let workspace = shell.workspace()?;
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}
