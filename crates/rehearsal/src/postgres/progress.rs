//! How far the server is with what it does.

use sqlx::Row;

use super::query::Stopped;
use super::session::Session;

/// What an index build is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// The server's word for it.
    pub name: String,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do, when the server knows.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: String,
}

/// What the index build of the backend `pid` is doing; nothing where it builds none.
///
/// # Errors
/// The server's.
pub async fn of_index_build(session: &mut Session, pid: i32) -> Result<Option<Phase>, Stopped> {
    let query = sqlx::query(
        "SELECT phase, lockers_done, lockers_total, blocks_done, blocks_total, tuples_done, tuples_total \
         FROM pg_stat_progress_create_index WHERE pid = $1",
    )
    .bind(pid);
    let rows = session.fetch_bound(query).await?;
    Ok(rows.first().map(|row| {
        let count = |index| u64::try_from(row.get::<i64, _>(index)).unwrap_or_default();
        // The server counts one of them at a time, and sets the others to 0.
        let counted = [("transactions", 1), ("blocks", 3), ("tuples", 5)];
        let (unit, at) = counted.into_iter().find(|(_, at)| count(at + 1) > 0).unwrap_or(("blocks", 3));
        let total = count(at + 1);
        Phase { name: row.get(0), done: count(at), total: (total > 0).then_some(total), unit: unit.to_owned() }
    }))
}
