//! Who waits for a lock of ours, or for one that we are about to ask for.

use sqlx::Row;

use super::query::Stopped;
use super::session::Session;

/// The modes that no writer gets past ("Explicit Locking" in PostgreSQL's documentation).
const KEEP_WRITERS_OUT: [&str; 4] = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"];

/// How many sessions our own transaction holds up at this moment. Whoever has met one of its locks
/// waits until it ends, so a look right before that sees all of them but those that gave up.
///
/// # Errors
/// The server's.
pub async fn held_up(session: &mut Session) -> Result<u64, Stopped> {
    let query = sqlx::query(
        "SELECT count(DISTINCT l.pid) FROM pg_locks l \
         WHERE NOT l.granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid))",
    );
    let rows = session.fetch_bound(query).await?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.get::<i64, _>(0)).unwrap_or_default()))
}

/// The session that is first in the queue for a lock on the whole table, if there is a queue: whoever asks
/// for any lock on it next stands behind that one.
///
/// # Errors
/// The server's.
pub async fn first_in_queue(session: &mut Session, table: &str) -> Result<Option<String>, Stopped> {
    let query = sqlx::query(
        "SELECT format('pid %s (%s, user %s) waits for %s on %s', l.pid, \
                coalesce(nullif(a.application_name, ''), 'unnamed'), a.usename, l.mode, l.relation::regclass) \
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE NOT l.granted AND l.locktype = 'relation' AND l.relation = to_regclass($1) AND l.mode = ANY ($2) \
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         ORDER BY a.query_start LIMIT 1",
    )
    .bind(table)
    .bind(&KEEP_WRITERS_OUT[..]);
    let rows = session.fetch_bound(query).await?;
    Ok(rows.first().map(|row| row.get(0)))
}
