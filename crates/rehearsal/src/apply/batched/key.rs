//! The key that a batch marker names, and whether it can carry batches.

use crate::apply::failure::stopped_in;
use crate::apply::file::Applier;
use crate::apply::spot::Sent;
use crate::error::Result;
use crate::plan::PlannedFile;
use crate::postgres::catalog::{self, Holder, KeyColumn};
use crate::source::SourceError;
use crate::statement::{Batch, Statement};

/// Reads it from the catalog.
///
/// # Errors
/// [`SourceError::Unsupported`] when it cannot carry batches.
pub(in crate::apply) async fn read(
    applier: &mut Applier<'_>,
    file: &PlannedFile,
    statement: &Statement,
    batch: &Batch,
) -> Result<KeyColumn> {
    let failed = |stopped| stopped_in(Sent::Ours, file, statement, true)(stopped);
    let key = catalog::key_column(applier.session, &batch.table, &batch.key).await.map_err(failed)?;
    usable(key, batch).map_err(|(what, instead)| {
        SourceError::Unsupported { path: file.script.path.clone(), line: statement.line, what, instead }.into()
    })
}

/// The key, or what is wrong with it and what to write instead.
fn usable(key: Option<KeyColumn>, batch: &Batch) -> Result<KeyColumn, (String, String)> {
    let Batch { table, key: column, .. } = batch;
    let Some(key) = key else {
        return Err((
            format!("the batch marker names {table}.{column}, which is not there"),
            "name a table and a column as SQL writes them: /* batch: users.id */ TRUE".into(),
        ));
    };
    match key.holder {
        Holder::View => Err((
            format!("the batch marker names {table}, which is a view: it has no index of its own to walk along"),
            "write to the table behind it, and walk that".into(),
        )),
        Holder::Foreign => Err((
            format!("the batch marker names {table}, which is a foreign table: its index is out of reach"),
            "run the migration on the server where the table is, or leave the marker out".into(),
        )),
        Holder::Table if batch.updates && key.generated => Err((
            format!("a batch by {column}, which is generated: an UPDATE may move rows on into batches to come"),
            "batch by a key that stays as it is".into(),
        )),
        Holder::Table if !key.indexed => Err((
            format!("no btree index begins with {table}.{column}: every batch would read the whole table"),
            format!(
                "batch by an indexed column, or create an index on {column} in a migration before \
                 (not partial, in the usual order, in the column's own collation)"
            ),
        )),
        Holder::Table => Ok(key),
    }
}
