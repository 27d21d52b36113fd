//! `db-backup`: a backup that counts only once it was restored, or tables as files.

use rehearsal::backup::export::Wanted;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::cli::SandboxArgs;
use crate::shell::Shell;

pub async fn run(shell: Shell, wanted: Wanted, sandbox: &SandboxArgs) -> anyhow::Result<()> {
    let target = shell.target()?;
    let steps = if wanted.tables.is_empty() { lists::backup() } else { lists::export(wanted) };
    let command =
        Command { name: "db-backup", target: target.to_string(), retry: None, release: None, steps, next: None };
    let settings = shell.settings(Some(sandbox));
    let workspace = shell.workspace()?;
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}
