//! `db-backup list`: what there is. Reads only.

use std::io::Write;

use chrono::Utc;
use rehearsal::backup::repository::{listing, staging};
use rehearsal::report::backups;

use crate::shell::Shell;

pub async fn run(shell: &Shell) -> anyhow::Result<()> {
    let repository = super::run::repository(shell)?;
    let entries = repository.entries().await?;
    // Where nothing is sent, nothing waits.
    let waiting = match shell.config.backup.is_staged() {
        true => staging::pending(&shell.config.backup.staging, repository.target()).map_err(rehearsal::Error::from)?,
        false => Vec::new(),
    };
    let lines = listing::lines(&repository, &entries, &waiting, Utc::now());
    let mut out = shell.out();
    if shell.common.json {
        serde_json::to_writer(&mut out, &lines)?;
        writeln!(out)?;
    } else {
        backups::write_list(&mut out, repository.target(), &repository.place(), &lines)?;
    }
    Ok(())
}
