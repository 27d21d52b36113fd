//! `rollback`: undo migrations after a backup, by their down files or by an earlier backup.

use std::io::Write;

use rehearsal::backup::beside;
use rehearsal::config::Config;
use rehearsal::occasion::Act;
use rehearsal::plan::{self, Back, Refusal};
use rehearsal::postgres::history::History;
use rehearsal::report::{plan as report, ways as report_ways};
use rehearsal::run::Command;
use rehearsal::source::MigrationSet;
use rehearsal::steps::lists;

use crate::backup_source::Source;
use crate::cli::{AnswerArgs, SandboxArgs, WayBack};
use crate::out;
use crate::outlook;
use crate::shell::Shell;
use crate::surroundings::{self, Change};
use crate::ways::{self, Undone, Ways};

pub async fn run(
    shell: Shell,
    to: Option<i64>,
    steps: Option<usize>,
    way: Option<WayBack>,
    answers: &AnswerArgs,
    sandbox: &SandboxArgs,
) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let (workspace, history) = shell.workspace_and_history(&target, "rollback").await?;
    let back = back(&shell.config, &workspace.migrations, &history, to, steps);
    let versions = plan::undone(&workspace.migrations, &history, &back).map_err(rehearsal::Error::from)?;
    let plan = plan::down(&workspace.migrations, &history, back);
    let at = history.latest_finished().unwrap_or(0);
    let taken = way.unwrap_or(WayBack::Down);
    let undone = Undone {
        target: &target,
        migrations: &workspace.migrations,
        history: &history,
        versions: &versions,
        plan: &plan,
    };
    let ways = match versions.is_empty() {
        true => None,
        false => Some(show(&shell, &undone, taken).await?),
    };
    let plan = match taken {
        WayBack::Forward if !versions.is_empty() => return Ok(()),
        WayBack::Forward | WayBack::Restore => None,
        WayBack::Down => Some(plan.map_err(rehearsal::Error::from)?),
    };
    let backup = match (&plan, ways) {
        (Some(_), Some(Ways { failed: Some(why), .. })) if way.is_none() => {
            return Err(rehearsal::Error::from(Refusal::DidNotComeBack { why }).into());
        }
        (None, Some(Ways { backup: Some(found), .. })) => {
            let (id, _) = found?;
            Some(Source::of(&shell, target.name(), Some(&id), None).await?)
        }
        _ => None,
    };
    if !versions.is_empty() {
        let what = if backup.is_some() { "put a backup in the place of the database" } else { "undo these migrations" };
        shell.confirm(what, &target)?;
    }
    // Counted once: after a run that stopped, the same number of steps would lead further back.
    let kept: Vec<i64> =
        history.iter().map(|applied| applied.version).filter(|version| !versions.contains(version)).collect();
    let goal = kept.iter().copied().max().unwrap_or(0);
    // Where one that came late goes and newer ones stay, no version says where it ends.
    let late = versions.iter().any(|version| *version < goal);
    let (goal, words) = match late {
        true => (Back::Keep(kept), "--steps 1".to_owned()),
        false => (Back::To(goal), format!("--to {goal}")),
    };
    let words = way.map_or(words.clone(), |way| format!("--way {} {words}", way.as_str()));
    let again = format!("cargo xtask rollback --target {} {words}", target.name());
    let change = Change {
        act: Act::Rollback,
        target: target.name(),
        versions: &versions,
        migrations: &workspace.migrations,
        words: again.clone(),
    };
    let surroundings = surroundings::of(&shell, &change, answers).await?;
    let next = if backup.is_some() { "status" } else { "verify" };
    let command = Command {
        name: "rollback",
        target: target.to_string(),
        retry: Some(again),
        release: None,
        steps: match &backup {
            _ if versions.is_empty() => lists::nothing(at),
            Some(source) => {
                let keeps = beside::name(target.database(), beside::BEFORE);
                let steps = source.steps(|folder| lists::rollback_by_restore(folder, keeps));
                lists::within(surroundings, steps)
            }
            None => lists::within(surroundings, lists::rollback(goal)),
        },
        next: (!versions.is_empty()).then(|| format!("cargo xtask {next} --target {}", target.name())),
    };
    let settings = shell.settings(Some(sandbox));
    let planned = plan.map(|plan| outlook::planned(&shell, &target, &plan, &workspace.migrations)).unwrap_or_default();
    let outcome = shell.run(command, workspace, settings, Some(target), |cx| cx.planned = planned).await;
    if let Some(source) = backup {
        source.release().await;
    }
    outcome
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

/// Shows what is going to be undone, and the ways to do it, before anybody is asked.
async fn show(shell: &Shell, undone: &Undone<'_>, taken: WayBack) -> anyhow::Result<Ways> {
    let mut session = shell.connect(undone.target, "rollback").await?;
    let ways = ways::look(shell, &mut session, undone, taken).await?;
    let mut stderr = out::stderr();
    let page = outlook::page(shell, &stderr);
    let mut text = Vec::new();
    if let (Ok(plan), WayBack::Down) = (undone.plan, taken) {
        let Undone { target, migrations, history, versions, .. } = undone;
        let foreseen = outlook::foresee(shell, &mut session, target, plan, migrations, history).await?;
        let change = Change { act: Act::Rollback, target: target.name(), versions, migrations, words: String::new() };
        let found = foreseen.report(shell, &change);
        report::write(&mut text, &found, page)?;
        report::write_now_and_after(&mut text, &found, page)?;
    }
    session.close().await;
    report_ways::write(&mut text, &ways.shown, page)?;
    // What was asked for is shown however quiet it is to be.
    if !shell.common.quiet || taken == WayBack::Forward {
        stderr.write_all(&text)?;
    }
    Ok(ways)
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
