//! `verify`: the checks, compared with what the last migration saw before it began; and the code's queries.

use rehearsal::record::Record;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::shell::Shell;

pub async fn run(shell: Shell, contract: bool) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let workspace = shell.workspace()?;
    let before = Record::before_latest_migration(&shell.config.records.to, target.name(), &target.address());
    let command = Command {
        name: "verify",
        target: target.to_string(),
        retry: None,
        release: None,
        steps: lists::verify(contract.then(|| shell.config.contract.clone())),
        next: None,
    };
    let settings = shell.settings(None);
    shell
        .run(command, workspace, settings, Some(target), |cx| cx.before = before.map(|record| record.observation()))
        .await
}
