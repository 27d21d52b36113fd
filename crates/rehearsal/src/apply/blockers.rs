//! Who stands in the way of a statement that waits for a lock.

use std::time::Duration;

use sqlx::Row;

use crate::error::Result;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::target::Target;

/// The session whose waiting is watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    target: Target,
    pid: i32,
    after: Duration,
}

impl Watched {
    /// Watches what `session` runs next. It is looked at once half of the lock timeout has passed:
    /// after the timeout nobody blocks us any more.
    pub(super) fn new(session: &Session, lock_timeout: Duration) -> Self {
        Self { target: session.target().clone(), pid: session.pid(), after: lock_timeout / 2 }
    }

    /// Runs `work`, and tells who blocked it if that took longer than half of the lock timeout.
    /// That nobody can be named is no reason for the work to fail.
    pub(super) async fn during<T>(
        self,
        blockers: &mut String,
        work: impl Future<Output = Result<T, Stopped>>,
    ) -> Result<T, Stopped> {
        let mut work = std::pin::pin!(work);
        let look = async {
            tokio::time::sleep(self.after).await;
            self.blockers().await.unwrap_or_default()
        };
        tokio::select! {
            done = &mut work => return done,
            found = look => *blockers = found,
        }
        work.await
    }

    async fn blockers(&self) -> Result<String> {
        let cancel = tokio_util::sync::CancellationToken::new();
        let mut session = Session::connect(&self.target, "blockers", &cancel).await?;
        // Constants are hidden: a query may hold anything.
        let query = sqlx::query(
            "SELECT format('pid %s (%s, user %s, in its transaction for %s): %s', a.pid, \
                    coalesce(nullif(a.application_name, ''), 'unnamed'), a.usename, \
                    justify_interval(date_trunc('second', clock_timestamp() - a.xact_start)), \
                    left(regexp_replace(regexp_replace(a.query, '''[^'']*''', '''…''', 'g'), '\\s+', ' ', 'g'), 200)) \
             FROM unnest(pg_blocking_pids($1)) AS b(pid) JOIN pg_stat_activity a USING (pid) ORDER BY a.xact_start LIMIT 3",
        )
        .bind(self.pid);
        let rows = session.fetch_bound(query).await.map_err(Stopped::doing("see who blocks"))?;
        session.close().await;
        let named: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
        Ok(named.join("; "))
    }
}
