//! Whether a restored database holds what its backup says.

use super::manifest::{Manifest, TableEntry};
use super::verdict::ProofLevel;
use crate::error::Result;
use crate::postgres::contents::{self, Contents, Fingerprint, TableName};
use crate::postgres::query::Stopped;
use crate::postgres::sequences;
use crate::postgres::session::Session;
use crate::postgres::side_by_side;

/// What differs in the tables, one phrase each. Below [`ProofLevel::Full`] only their rows were counted.
pub(super) fn tables<'a>(
    dumped: impl Iterator<Item = (&'a TableName, Fingerprint)>,
    found: &Contents,
    level: ProofLevel,
) -> Vec<String> {
    let difference = |(table, dumped): (&TableName, Fingerprint)| match found.get(table) {
        None => Some(format!("{table} is not in the restored copy")),
        Some(found) if found.rows != dumped.rows => {
            Some(format!("{table}: {} rows dumped, {} restored", dumped.rows, found.rows))
        }
        Some(found) if level == ProofLevel::Full && found.sum != dumped.sum => {
            Some(format!("{table}: {} rows, but not with the same contents", dumped.rows))
        }
        Some(_) => None,
    };
    dumped.filter_map(difference).collect()
}

/// What differs from the tables of a manifest, one phrase each.
pub(super) fn with_tables(expected: &[TableEntry], found: &Contents) -> Vec<String> {
    tables(expected.iter().map(|table| (&table.name, table.held())), found, ProofLevel::Full)
}

/// Reads a restored database over that many connections. Gives what differs from the manifest, one phrase each.
///
/// # Errors
/// The server's.
pub(super) async fn with_manifest(session: &mut Session, manifest: &Manifest, jobs: usize) -> Result<Vec<String>> {
    session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare the comparison"))?;
    let columns = contents::all_tables(session).await?;
    let found = side_by_side::read(session, &columns, jobs, "restore", |_| {}).await?;
    let mut differences = with_tables(&manifest.tables, &found);
    let found = sequences::read(session, None).await?;
    let dumped = manifest.sequences.iter().map(|entry| (&entry.name, &entry.position));
    differences.extend(sequences::misplaced(dumped, &found));
    Ok(differences)
}
