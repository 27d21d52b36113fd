//! `plan`: what `migrate` would do. Reads only.

use rehearsal::plan;
use rehearsal::postgres::history::History;
use rehearsal::report::status;
use rehearsal::source::MigrationSet;

use crate::cli::GoalArgs;
use crate::goal;
use crate::shell::Shell;

pub async fn run(shell: &Shell, wanted: &GoalArgs) -> anyhow::Result<()> {
    let target = shell.target()?;
    let migrations = MigrationSet::from_folder(&shell.config.migrations).map_err(rehearsal::Error::from)?;
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
    }
    Ok(())
}
