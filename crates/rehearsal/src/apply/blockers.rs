//! Who stands in the way of a statement that waits for a lock.

use std::time::Duration;

use crate::error::Result;
use crate::postgres::activity;
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
        let found = activity::blocking(&mut session, self.pid).await.map_err(Stopped::doing("see who blocks"))?;
        session.close().await;
        Ok(activity::named(&found))
    }
}
