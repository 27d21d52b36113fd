//! `status`: what is applied and what is pending. Reads only.

use std::io::Write;

use rehearsal::postgres::history::History;
use rehearsal::report::status;
use rehearsal::standing;

use crate::shell::Shell;

pub async fn run(shell: &Shell) -> anyhow::Result<()> {
    let target = shell.target()?;
    let migrations = shell.migrations()?;
    let mut session = shell.connect(&target, "status").await?;
    let history = History::read(&mut session, &shell.config.history_table).await?;
    session.close().await;
    let lines = standing::lines(&migrations, &history);
    let mut out = shell.out();
    if shell.common.json {
        serde_json::to_writer(&mut out, &lines)?;
        writeln!(out)?;
    } else {
        status::write_status(&mut out, &target.to_string(), &lines, migrations.ignored_files())?;
    }
    Ok(())
}
