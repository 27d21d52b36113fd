//! `db-backup`: a backup that counts only once it was restored.

use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::cli::SandboxArgs;
use crate::shell::Shell;

pub async fn run(shell: Shell, sandbox: &SandboxArgs) -> anyhow::Result<()> {
    let target = shell.target()?;
    let command = Command {
        name: "db-backup",
        target: target.to_string(),
        retry: None,
        release: None,
        steps: lists::backup(),
        next: None,
    };
    let settings = shell.settings(Some(sandbox));
    let workspace = shell.workspace()?;
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}
