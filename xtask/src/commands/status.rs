//! `status`: what is applied and what is pending. Reads only.

use std::io::{BufWriter, Write};

use rehearsal::backup::beside;
use rehearsal::postgres::history::History;
use rehearsal::report::status;
use rehearsal::standing;

use crate::shell::Shell;

pub async fn run(shell: &Shell) -> anyhow::Result<()> {
    let target = shell.target().await?;
    let look = async {
        let mut session = shell.connect(&target, "status").await?;
        let history = History::read(&mut session, &shell.config.history_table).await;
        let left = beside::left_overs(&mut session).await;
        session.close().await;
        Ok::<_, rehearsal::Error>((history?, left?))
    };
    // The files are read while the server makes its session.
    let (looked, migrations) = tokio::join!(look, async { shell.migrations() });
    // What is wrong with the files can be mended without the database: it is told first.
    let (migrations, (history, left)) = (migrations?, looked?);
    let lines = standing::lines(&migrations, &history);
    let mut out = BufWriter::new(shell.out());
    if shell.common.json {
        serde_json::to_writer(&mut out, &lines)?;
        writeln!(out)?;
    } else {
        status::write_status(&mut out, &target.to_string(), &lines, migrations.ignored_files())?;
        let left: Vec<String> = left.iter().map(|left| left.words(target.name())).collect();
        status::write_beside(&mut out, &left)?;
    }
    out.flush()?;
    Ok(())
}
