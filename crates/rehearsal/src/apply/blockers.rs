//! Who stands in the way of a statement that waits for a lock.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::postgres::activity;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::target::Target;

/// How long a pause between two tries may become longer because the connection that looks is made.
const READY: Duration = Duration::from_secs(2);

/// Who stood in the way when it was looked last, and the connection that looks. It is kept from one try to the
/// next: to make one may take longer than a `lock_timeout` leaves, on a network and with a password.
#[derive(Default)]
pub(super) struct Blockers {
    seen: String,
    target: Option<Arc<Target>>,
    session: Option<Session>,
}

impl Blockers {
    /// Who stood in the way, in words; empty when nobody was seen. The next try begins anew.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.seen)
    }

    /// Connects between two tries, if the last one was over before that could be done. That it cannot is no reason
    /// for anything to fail.
    pub(super) async fn be_ready(&mut self) {
        if let (None, Some(target)) = (&self.session, &self.target) {
            let cancel = CancellationToken::new();
            let connecting = Session::connect(target, "blockers", &cancel);
            self.session = tokio::time::timeout(READY, connecting).await.ok().and_then(Result::ok);
        }
    }

    async fn look(&mut self, watched: &Watched) -> Result<()> {
        // Whoever is stopped in the middle of a query leaves none to go on with.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::connect(&watched.target, "blockers", &CancellationToken::new()).await?,
        };
        let found = activity::blocking(&mut session, watched.pid).await.map_err(Stopped::doing("see who blocks"))?;
        self.seen = activity::named(&found);
        self.session = Some(session);
        Ok(())
    }
}

/// The session whose waiting is watched.
pub(super) struct Watched {
    target: Arc<Target>,
    pid: i32,
    after: Duration,
}

impl Watched {
    /// Watches what `session` runs next. It is looked at once half of the lock timeout has passed:
    /// after the timeout nobody blocks us any more.
    pub(super) fn new(session: &Session, lock_timeout: Duration) -> Self {
        Self { target: session.shared_target(), pid: session.pid(), after: lock_timeout / 2 }
    }

    /// Runs `work`, and sees who blocks it if that takes longer than half of the lock timeout.
    /// That nobody can be named is no reason for the work to fail.
    pub(super) async fn during<T>(
        self,
        blockers: &mut Blockers,
        work: impl Future<Output = Result<T, Stopped>>,
    ) -> Result<T, Stopped> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(self.after) => {}
        }
        blockers.target = Some(Arc::clone(&self.target));
        tokio::select! {
            done = &mut work => return done,
            _ = blockers.look(&self) => {}
        }
        work.await
    }
}
