//! `mark-applied`: a version that is there already is recorded as applied, once that is proven.

use rehearsal::plan;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::cli::SandboxArgs;
use crate::shell::Shell;

pub async fn run(
    shell: Shell,
    version: i64,
    force: bool,
    reason: Option<String>,
    sandbox: &SandboxArgs,
) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let (workspace, history) = shell.workspace_and_history(&target, "mark-applied").await?;
    let pending = plan::mark(&workspace.migrations, &history, version).map_err(rehearsal::Error::from)?.is_some();
    if pending {
        shell.confirm(&format!("record version {version} as applied without running it"), &target)?;
    }
    let at = history.latest_finished().unwrap_or(0);
    let command = Command {
        name: "mark-applied",
        target: target.to_string(),
        release: None,
        steps: if pending { lists::mark_applied(version, force, reason) } else { lists::nothing(at) },
        next: pending.then(|| format!("cargo xtask verify --target {}", target.name())),
        retry: None,
    };
    let settings = shell.settings(Some(sandbox));
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}
