//! `plan`: what `migrate` or `rollback` would do. Reads only.

use rehearsal::occasion::Act;
use rehearsal::plan;
use rehearsal::postgres::history::History;
use rehearsal::psql_script::{self, Terms};
use rehearsal::report::plan::{self as report, Report};
use rehearsal::report::ways as report_ways;

use super::rollback;
use crate::cli::{GoalArgs, PlanArgs, WayBack};
use crate::shell::Shell;
use crate::surroundings::Change;
use crate::ways::{self, Undone};
use crate::{goal, outlook};

pub async fn run(shell: &Shell, wanted: &GoalArgs, shown: &PlanArgs) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let migrations = shell.migrations()?;
    let mut session = shell.connect(&target, "plan").await?;
    let history = History::read(&mut session, &shell.config.history_table).await?;
    let (act, plan, ways) = if shown.rollback {
        let back = rollback::back(&shell.config, &migrations, &history, wanted.to, shown.steps);
        let versions = plan::undone(&migrations, &history, &back).map_err(rehearsal::Error::from)?;
        let plan = plan::down(&migrations, &history, back);
        let undone =
            Undone { target: &target, migrations: &migrations, history: &history, versions: &versions, plan: &plan };
        let ways = match versions.is_empty() || shown.sql {
            true => Vec::new(),
            false => ways::look(shell, &mut session, &undone, WayBack::Down).await?.shown,
        };
        (Act::Rollback, plan, ways)
    } else {
        let to = goal::version(wanted, &shell.config, &migrations, &history)?;
        (Act::Migrate, plan::up(&migrations, &history, to), Vec::new())
    };
    if plan.is_err() && !shell.common.json {
        let mut out = shell.out();
        // Where one way is shut, the others are what there is to know.
        let page = outlook::page(shell, &out);
        report_ways::write(&mut out, &ways, page)?;
    }
    let plan = plan.map_err(rehearsal::Error::from)?;
    let foreseen = outlook::foresee(shell, &mut session, &target, &plan, &migrations, &history).await?;
    session.close().await;
    let mut out = shell.out();
    if shown.sql {
        let terms = Terms { history_table: &shell.config.history_table, limits: &shell.config.limits };
        psql_script::write(&mut out, &plan, &foreseen.heading(), &terms)?;
        return Ok(());
    }
    let versions: Vec<i64> = plan.files().iter().map(|file| file.version).collect();
    let change =
        Change { act, target: target.name(), versions: &versions, migrations: &migrations, words: String::new() };
    let found = Report { ways, ..foreseen.report(shell, &change) };
    if shell.common.json {
        report::write_json(&mut out, &found)?;
        return Ok(());
    }
    let page = outlook::page(shell, &out);
    report::write(&mut out, &found, page)?;
    if act == Act::Rollback && !plan.is_empty() {
        report::write_now_and_after(&mut out, &found, page)?;
        report_ways::write(&mut out, &found.ways, page)?;
    }
    Ok(())
}
