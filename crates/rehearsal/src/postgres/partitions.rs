//! Partitions that are on their way out.

use sqlx::Row;

use super::query::Stopped;
use super::session::Session;

/// How a table belongs to a partitioned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// As its partition.
    Attached,
    /// A DETACH … CONCURRENTLY was stopped in between: queries pass over it already, and only
    /// `FINALIZE` may follow.
    Pending,
    /// Not at all.
    Detached,
}

/// How `partition` belongs to `table`; names as written in SQL.
///
/// # Errors
/// The server's.
pub async fn attachment(session: &mut Session, table: &str, partition: &str) -> Result<Attachment, Stopped> {
    // PostgreSQL 13 knows neither the column nor what it is about.
    let query = sqlx::query(
        "SELECT coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false) FROM pg_inherits i \
         WHERE i.inhparent = to_regclass($1) AND i.inhrelid = to_regclass($2)",
    )
    .bind(table)
    .bind(partition);
    let rows = session.fetch_bound(query).await?;
    Ok(match rows.first().map(|row| row.get::<bool, _>(0)) {
        None => Attachment::Detached,
        Some(true) => Attachment::Pending,
        Some(false) => Attachment::Attached,
    })
}
