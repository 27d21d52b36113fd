//! ALTER TABLE … DETACH PARTITION … CONCURRENTLY is two transactions; stopped between them, the partition
//! is neither in nor out, and the same statement is refused.

use super::file::Applier;
use crate::postgres::partitions::{Attachment, attachment};
use crate::postgres::query::Stopped;
use crate::statement::Statement;

pub(super) async fn run(
    applier: &mut Applier<'_>,
    statement: &Statement,
    table: &str,
    partition: &str,
    begun: bool,
) -> Result<u64, Stopped> {
    match attachment(applier.session, table, partition).await? {
        Attachment::Pending => {
            applier.events.warn(format!("the detachment of {partition} was stopped in between; finishing it"));
            let finish = format!("ALTER TABLE {table} DETACH PARTITION {partition} FINALIZE");
            applier.session.execute(&finish).await.map(|done| done.rows_affected())
        }
        Attachment::Detached if begun => {
            applier.events.info(format!("partition {partition} is detached already"));
            Ok(0)
        }
        _ => applier.session.execute(&statement.sql).await.map(|done| done.rows_affected()),
    }
}
