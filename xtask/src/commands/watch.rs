//! `watch`: the checks and the logs, again and again, for a while after a release.

use std::time::Duration;

use rehearsal::record::Record;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::shell::Shell;

pub async fn run(shell: Shell, lasts: Duration, every: Duration) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let workspace = shell.workspace()?;
    let before = Record::before_latest_migration(&shell.config.records.to, target.name(), &target.address());
    let command = Command {
        name: "watch",
        target: target.to_string(),
        retry: None,
        release: None,
        steps: lists::watch(lasts, every),
        next: None,
    };
    let settings = shell.settings(None);
    shell
        .run(command, workspace, settings, Some(target), |cx| cx.before = before.map(|record| record.observation()))
        .await
}
