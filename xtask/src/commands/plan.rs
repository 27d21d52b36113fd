//! `plan`: what `migrate` or `rollback` would do. Reads only.

use rehearsal::occasion::Act;
use rehearsal::plan;
use rehearsal::postgres::history::History;
use rehearsal::psql_script::{self, Terms};
use rehearsal::report::plan as report;

use super::rollback;
use crate::cli::{GoalArgs, PlanArgs};
use crate::shell::Shell;
use crate::surroundings::Change;
use crate::{goal, outlook};

pub async fn run(shell: &Shell, wanted: &GoalArgs, shown: &PlanArgs) -> anyhow::Result<()> {
    let target = shell.target()?;
    let migrations = shell.migrations()?;
    let mut session = shell.connect(&target, "plan").await?;
    let history = History::read(&mut session, &shell.config.history_table).await?;
    let (act, plan) = if shown.rollback {
        let back = rollback::back(&shell.config, &migrations, &history, wanted.to, shown.steps);
        (Act::Rollback, plan::down(&migrations, &history, back))
    } else {
        let to = goal::version(wanted, &shell.config, &migrations, &history)?;
        (Act::Migrate, plan::up(&migrations, &history, to))
    };
    let plan = plan.map_err(rehearsal::Error::from)?;
    let foreseen = outlook::foresee(shell, &mut session, &target, &plan, &migrations, &history).await?;
    session.close().await;
    let mut out = shell.out();
    if shown.sql {
        let terms = Terms { history_table: &shell.config.history_table, limits: &shell.config.limits };
        psql_script::write(&mut out, &plan, &foreseen.heading(), &terms)?;
        return Ok(());
    }
    let change = Change { act, target: target.name(), plan: &plan, migrations: &migrations, words: String::new() };
    let found = foreseen.report(shell, &change);
    if shell.common.json {
        report::write_json(&mut out, &found)?;
        return Ok(());
    }
    let page = outlook::page(shell, &out);
    report::write(&mut out, &found, page)?;
    if act == Act::Rollback && !plan.is_empty() {
        report::write_now_and_after(&mut out, &found, page)?;
    }
    Ok(())
}
