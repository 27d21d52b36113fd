//! `repair`: shows where history and files disagree, and records an edited file as it is now.

use std::io::Write;

use rehearsal::repair;
use rehearsal::report::status;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::out;
use crate::shell::Shell;

pub async fn run(shell: Shell, version: Option<i64>, reason: Option<String>) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let (workspace, history) = shell.workspace_and_history(&target, "repair").await?;
    let findings = repair::findings(&workspace.migrations, &history);
    if !shell.common.quiet {
        let mut text = Vec::new();
        status::write_findings(&mut text, &target.to_string(), &findings)?;
        out::stderr().write_all(&text)?;
    }
    let (Some(version), Some(reason)) = (version, reason) else { return Ok(()) };
    let differs =
        repair::checksums(&workspace.migrations, &history, version).map_err(rehearsal::Error::from)?.is_some();
    if differs {
        shell.confirm(&format!("record the edited file of version {version} as the one that was applied"), &target)?;
    }
    let at = history.latest_finished().unwrap_or(0);
    let command = Command {
        name: "repair",
        target: target.to_string(),
        release: None,
        steps: if differs { lists::repair(version, reason) } else { lists::nothing(at) },
        next: differs.then(|| format!("cargo xtask status --target {}", target.name())),
        retry: None,
    };
    let settings = shell.settings(None);
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}
