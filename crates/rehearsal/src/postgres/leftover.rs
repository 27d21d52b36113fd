//! Sessions of a program that is gone: the server ends them when it notices, which may take as long as
//! their query does.

use std::time::Duration;

use sqlx::Row;
use tokio::time::Instant;

use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// How often they are looked for.
const LOOK: Duration = Duration::from_millis(100);

const COUNT: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1";

const END: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()";

/// Waits until no session of that `application_name` is left; after `grace` they are terminated, and after
/// another one it gives how many there still are.
///
/// # Errors
/// The server's.
pub async fn see_gone(session: &mut Session, application: &str, grace: Duration) -> Result<i64> {
    let left = wait(session, application, grace).await?;
    if left == 0 {
        return Ok(0);
    }
    session.execute_bound(sqlx::query(END).bind(application)).await.map_err(Stopped::doing("end sessions"))?;
    wait(session, application, grace).await
}

async fn wait(session: &mut Session, application: &str, grace: Duration) -> Result<i64> {
    let deadline = Instant::now() + grace;
    loop {
        let rows = session.fetch_bound(sqlx::query(COUNT).bind(application)).await;
        let left = rows.map_err(Stopped::doing("look for sessions"))?.first().map_or(0, |row| row.get(0));
        if left == 0 || Instant::now() > deadline {
            return Ok(left);
        }
        tokio::time::sleep(LOOK).await;
    }
}
