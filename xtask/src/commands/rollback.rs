//! `rollback`: undo migrations, newest first, after a backup.

use std::io::Write;

use rehearsal::config::Config;
use rehearsal::occasion::Act;
use rehearsal::plan::{self, Back, Plan};
use rehearsal::postgres::history::History;
use rehearsal::report::plan as report;
use rehearsal::run::Command;
use rehearsal::source::MigrationSet;
use rehearsal::steps::lists;
use rehearsal::target::Target;

use crate::cli::{AnswerArgs, SandboxArgs};
use crate::outlook;
use crate::shell::Shell;
use crate::surroundings::{self, Change};

pub async fn run(
    shell: Shell,
    to: Option<i64>,
    steps: Option<usize>,
    answers: &AnswerArgs,
    sandbox: &SandboxArgs,
) -> anyhow::Result<()> {
    let target = shell.target()?;
    let (workspace, history) = shell.workspace_and_history(&target, "rollback").await?;
    let back = back(&shell.config, &workspace.migrations, &history, to, steps);
    let plan = plan::down(&workspace.migrations, &history, back).map_err(rehearsal::Error::from)?;
    if !plan.is_empty() && !shell.common.quiet {
        show(&shell, &target, &plan, &workspace.migrations, &history).await?;
    }
    if !plan.is_empty() {
        shell.confirm("undo these migrations", &target)?;
    }
    // Counted once: after a run that stopped, the same number of steps would lead further back.
    let undone = |version: i64| plan.files().iter().any(|file| file.version == version);
    let goal = history.iter().map(|applied| applied.version).filter(|version| !undone(*version)).max().unwrap_or(0);
    let at = history.latest_finished().unwrap_or(0);
    let kept: Vec<i64> = history.iter().map(|applied| applied.version).filter(|version| !undone(*version)).collect();
    // Where one that came late goes and newer ones stay, no version says where it ends.
    let late = plan.files().iter().any(|file| file.version < goal);
    let (goal, words) = match late {
        true => (Back::Keep(kept), "--steps 1".to_owned()),
        false => (Back::To(goal), format!("--to {goal}")),
    };
    let again = format!("cargo xtask rollback --target {} {words}", target.name());
    let change = Change {
        act: Act::Rollback,
        target: target.name(),
        plan: &plan,
        migrations: &workspace.migrations,
        words: again.clone(),
    };
    let surroundings = surroundings::of(&shell, &change, answers).await?;
    let command = Command {
        name: "rollback",
        target: target.to_string(),
        retry: Some(again),
        release: None,
        steps: if plan.is_empty() { lists::nothing(at) } else { lists::within(surroundings, lists::rollback(goal)) },
        next: (!plan.is_empty()).then(|| format!("cargo xtask verify --target {}", target.name())),
    };
    let settings = shell.settings(Some(sandbox));
    let planned = outlook::planned(&shell, &target, &plan, &workspace.migrations);
    shell.run(command, workspace, settings, Some(target), |cx| cx.planned = planned).await
}

/// Where it ends.
pub fn back(
    config: &Config,
    migrations: &MigrationSet,
    history: &History,
    to: Option<i64>,
    steps: Option<usize>,
) -> Back {
    match (to, steps) {
        (Some(version), _) => Back::To(version),
        (None, Some(steps)) => Back::Steps(steps),
        (None, None) => last_release(config, migrations, history),
    }
}

/// Shows what is going to be undone, before anybody is asked.
async fn show(
    shell: &Shell,
    target: &Target,
    plan: &Plan,
    migrations: &MigrationSet,
    history: &History,
) -> anyhow::Result<()> {
    let mut session = shell.connect(target, "rollback").await?;
    let foreseen = outlook::foresee(shell, &mut session, target, plan, migrations, history).await?;
    session.close().await;
    let change = Change { act: Act::Rollback, target: target.name(), plan, migrations, words: String::new() };
    let found = foreseen.report(shell, &change);
    let mut stderr = std::io::stderr();
    let page = outlook::page(shell, &stderr);
    let mut text = Vec::new();
    report::write(&mut text, &found, page)?;
    report::write_now_and_after(&mut text, &found, page)?;
    stderr.write_all(&text)?;
    Ok(())
}

/// Bare `rollback` never undoes more than the newest release that has begun; outside of any
/// configured release, it undoes one version. What came late after that was applied last: it goes alone.
fn last_release(config: &Config, migrations: &MigrationSet, history: &History) -> Back {
    let newest = history.iter().map(|applied| applied.version).max().unwrap_or(0);
    let order = history.in_order(|version| migrations.tolerance().lets_come_late(version));
    let upto_newest = order.iter().position(|version| *version == newest).map_or(0, |at| at + 1);
    if upto_newest < order.len() {
        return Back::Keep(order[..upto_newest].to_vec());
    }
    match config.releases.iter().rev().find(|release| release.after < newest && newest <= release.to) {
        Some(release) if release.after == 0 || history.get(release.after).is_some() => Back::To(release.after),
        _ if newest == 0 => Back::Steps(0),
        _ => Back::Steps(1),
    }
}
