//! `db-backup show`: one backup, by its manifest. Reads only.

use std::io::Write;

use chrono::Utc;
use rehearsal::backup::export::Export;
use rehearsal::backup::repository::entry::{Entry, State};
use rehearsal::backup::repository::reference::Named;
use rehearsal::backup::repository::{RepositoryError, listing, reference};
use rehearsal::report::backups;

use crate::shell::Shell;

pub async fn run(shell: &Shell, backup: &str) -> anyhow::Result<()> {
    let here = super::run::repository(shell)?;
    let named = reference::named(backup, &here, &shell.environment.object_stores).map_err(rehearsal::Error::from)?;
    let place = named.repository.place();
    let unknown = || rehearsal::Error::from(RepositoryError::NoSuchBackup { id: named.id.clone(), place });
    let entry: Entry = named.repository.one(&named.id).await?;
    if let (State::Exported, Some(folder)) = (&entry.state, named.repository.location().folder()) {
        let export = Export::read(&folder.join(named.repository.target()).join(&named.id));
        return exported(shell, &named, entry, &export.map_err(rehearsal::Error::from)?);
    }
    let manifest = entry.manifest().ok_or_else(unknown)?.clone();
    let mut out = shell.out();
    if shell.common.json {
        serde_json::to_writer(&mut out, &manifest)?;
        writeln!(out)?;
        return Ok(());
    }
    let lines = listing::lines(&named.repository, &[entry], &[], Utc::now());
    backups::write_list(&mut out, named.repository.target(), &named.repository.place(), &lines)?;
    let tables = manifest.tables.iter().map(|table| (table.name.to_string(), table.rows));
    backups::write_tables(&mut out, tables)?;
    Ok(())
}

/// Tables as files: no backup, but shown like one.
fn exported(shell: &Shell, named: &Named, entry: Entry, export: &Export) -> anyhow::Result<()> {
    let mut out = shell.out();
    if shell.common.json {
        serde_json::to_writer(&mut out, export)?;
        writeln!(out)?;
        return Ok(());
    }
    let lines = listing::lines(&named.repository, &[entry], &[], Utc::now());
    backups::write_list(&mut out, named.repository.target(), &named.repository.place(), &lines)?;
    Ok(backups::write_tables(&mut out, export.tables.iter().map(|table| (table.name.to_string(), table.rows)))?)
}
