//! `rehearse`: the whole release on a throwaway server.

use std::io::IsTerminal;

use rehearsal::config::ConfigError;
use rehearsal::context::{Keep, Settings, Workspace};
use rehearsal::postgres::history::History;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::cli::SandboxArgs;
use crate::shell::Shell;

pub async fn run(shell: Shell, release: Option<&str>, rows: u64, sandbox: &SandboxArgs) -> anyhow::Result<()> {
    let workspace = shell.workspace()?;
    let release = shell.config.release(release).map_err(rehearsal::Error::from)?.cloned();
    let keep = match (sandbox.keep, std::io::stderr().is_terminal()) {
        (true, _) => Keep::Always,
        // At a terminal somebody may want to look at what went wrong.
        (false, true) => Keep::OnFailure,
        (false, false) => Keep::Never,
    };
    // Nobody else knows of the sandbox.
    let settings = Settings { keep, rows, alone: true, ..shell.settings(Some(sandbox)) };
    let Some(name) = shell.common.target.clone() else {
        let (after, to) = match &release {
            Some(release) => (release.after, release.to),
            None => newest_alone(&workspace)?,
        };
        let command = Command {
            name: "rehearse",
            target: "a fresh sandbox".into(),
            retry: None,
            release: release.map(|release| release.name),
            steps: lists::rehearse(after, to),
            next: Some("cargo xtask rehearse --target staging (or another target of rehearsal.toml)".into()),
        };
        return shell.run(command, workspace, settings, None, |_| {}).await;
    };
    let target = shell.target_named(&name)?;
    let mut session = shell.connect(&target, "rehearse").await?;
    let history = History::read(&mut session, &shell.config.history_table).await?;
    session.close().await;
    let after = history.latest_finished().unwrap_or(0);
    let newest = workspace.migrations.latest().unwrap_or(0);
    // A release that was named says where to end; else everything that is pending goes.
    let to = release.as_ref().map_or(newest, |release| release.to).max(after);
    let nothing = to <= after && history.unfinished().is_none();
    let command = Command {
        name: "rehearse",
        target: target.to_string(),
        retry: None,
        release: release.map(|release| release.name),
        steps: if nothing { lists::nothing(after) } else { lists::rehearse_target(after, to) },
        next: (!nothing).then(|| format!("cargo xtask migrate --target {name}")),
    };
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}

/// Without releases in the configuration, the newest migration is one.
fn newest_alone(workspace: &Workspace) -> Result<(i64, i64), rehearsal::Error> {
    let mut versions = workspace.migrations.iter().rev().map(|migration| migration.version);
    let Some(to) = versions.next() else {
        return Err(ConfigError::NothingToRehearse { folder: workspace.config.migrations.clone() }.into());
    };
    Ok((versions.next().unwrap_or(0), to))
}
