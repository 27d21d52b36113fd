//! `migrate`: what is pending, on a real target.

use rehearsal::plan;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::shell::Shell;

pub async fn run(shell: Shell, to: Option<i64>) -> anyhow::Result<()> {
    let target = shell.target()?;
    let (workspace, history) = shell.workspace_and_history(&target, "migrate").await?;
    let pending = plan::up(&workspace.migrations, &history, to).map_err(rehearsal::Error::from)?;
    let nothing = pending.is_empty();
    let command = Command {
        name: "migrate",
        target: target.to_string(),
        release: None,
        steps: if nothing { lists::nothing(history.latest_finished().unwrap_or(0)) } else { lists::migrate(to) },
        next: (!nothing).then(|| format!("cargo xtask verify --target {}", target.name())),
    };
    let settings = shell.settings(None);
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}
