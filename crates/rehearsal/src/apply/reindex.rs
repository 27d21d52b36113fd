//! REINDEX … CONCURRENTLY builds beside each index another one, and exchanges them. Stopped in between, it
//! leaves an INVALID one, which nobody reads and every write keeps up.

use super::file::Applier;
use crate::postgres::indexes;
use crate::postgres::query::Stopped;
use crate::statement::{Reindexed, Statement};

pub(super) async fn run(applier: &mut Applier<'_>, statement: &Statement, of: &Reindexed) -> Result<u64, Stopped> {
    let (index, table) = match of {
        Reindexed::Index(name) => (Some(name.as_str()), None),
        Reindexed::Table(name) => (None, Some(name.as_str())),
        Reindexed::All => (None, None),
    };
    for left in indexes::left_by_reindex(applier.session, index, table).await? {
        applier.events.warn(format!("an INVALID index {left} was left by a REINDEX that was stopped; dropping it"));
        applier.session.execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {left}")).await?;
    }
    applier.session.execute(&statement.sql).await.map(|done| done.rows_affected())
}
