//! `migrate`: what is pending, on a real target.

use rehearsal::occasion::Act;
use rehearsal::plan;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use crate::cli::{AnswerArgs, GoalArgs};
use crate::shell::Shell;
use crate::surroundings::{self, Change};
use crate::{goal, outlook};

pub async fn run(shell: Shell, wanted: &GoalArgs, answers: &AnswerArgs) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let (workspace, history) = shell.workspace_and_history(&target, "migrate").await?;
    let to = goal::version(wanted, &shell.config, &workspace.migrations, &history)?;
    let pending = plan::up(&workspace.migrations, &history, to).map_err(rehearsal::Error::from)?;
    let nothing = pending.is_empty();
    let versions: Vec<i64> = pending.files().iter().map(|file| file.version).collect();
    let change = Change {
        act: Act::Migrate,
        target: target.name(),
        versions: &versions,
        migrations: &workspace.migrations,
        words: format!("cargo xtask migrate --target {}{}", target.name(), goal::words(wanted)),
    };
    let surroundings = surroundings::of(&shell, &change, answers).await?;
    let command = Command {
        name: "migrate",
        target: target.to_string(),
        retry: None,
        release: wanted.release.clone(),
        steps: if nothing {
            lists::nothing(history.latest_finished().unwrap_or(0))
        } else {
            lists::within(surroundings, lists::migrate(to))
        },
        next: (!nothing).then(|| format!("cargo xtask verify --target {}", target.name())),
    };
    let settings = shell.settings(None);
    let planned = outlook::planned(&shell, &target, &pending, &workspace.migrations);
    shell.run(command, workspace, settings, Some(target), |cx| cx.planned = planned).await
}
