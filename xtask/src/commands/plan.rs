//! `plan`: what `migrate` would do. Reads only.

use rehearsal::hooks::hook::When;
use rehearsal::occasion::Act;
use rehearsal::plan;
use rehearsal::postgres::history::History;
use rehearsal::report::status::{self, HookLine};

use crate::cli::GoalArgs;
use crate::goal;
use crate::questions;
use crate::shell::Shell;
use crate::surroundings::Change;

pub async fn run(shell: &Shell, wanted: &GoalArgs) -> anyhow::Result<()> {
    let target = shell.target()?;
    let migrations = shell.migrations()?;
    let mut session = shell.connect(&target, "plan").await?;
    let history = History::read(&mut session, &shell.config.history_table).await?;
    session.close().await;
    let to = goal::version(wanted, &shell.config, &migrations, &history)?;
    let plan = plan::up(&migrations, &history, to).map_err(rehearsal::Error::from)?;
    let mut out = shell.out();
    if shell.common.json {
        status::write_plan_json(&mut out, &plan)?;
    } else {
        status::write_plan(&mut out, &target.to_string(), &plan)?;
        if plan.is_empty() {
            return Ok(());
        }
        let words = String::new();
        let change = Change { act: Act::Migrate, target: target.name(), plan: &plan, migrations: &migrations, words };
        let run = change.occasion(&shell.config);
        let hooks: Vec<HookLine<'_>> = [When::Before, When::After, When::Always]
            .iter()
            .flat_map(|when| shell.config.hooks.iter().filter(|hook| hook.when == *when && hook.applies(&run)))
            .map(|hook| HookLine { when: hook.when.as_str(), name: &hook.name, words: hook.words() })
            .collect();
        let open = questions::open(&shell.config, &change);
        let open: Vec<(&str, &str)> =
            open.iter().map(|question| (question.id.as_str(), question.ask.as_str())).collect();
        status::write_around(&mut out, &hooks, &open)?;
    }
    Ok(())
}
