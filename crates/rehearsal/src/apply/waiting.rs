//! What a statement that waits by its nature (`… CONCURRENTLY`) waits for: told before it begins, and while
//! it waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::event::{Emitter, EventKind, Progress};
use crate::postgres::activity::{self, Transaction};
use crate::postgres::progress::{self, Phase};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::target::Target;

/// A transaction that is younger than this is over before anybody has read of it.
const OLD_SECONDS: u32 = 1;

/// How many old transactions are named.
const OLD_NAMED: u32 = 3;

/// How often it is looked at. Nothing is lost between two looks: they are for people who wait.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The session that is going to wait, and who hears of it.
pub(super) struct Waiting<'a> {
    target: Target,
    pid: i32,
    place: String,
    events: &'a Emitter,
}

impl<'a> Waiting<'a> {
    /// `place` is file and line of the statement.
    pub(super) fn new(session: &Session, place: String, events: &'a Emitter) -> Self {
        Self { target: session.target().clone(), pid: session.pid(), place, events }
    }

    /// Tells whose transactions are open already: it will wait for the end of some of them.
    pub(super) async fn foretell(&self, session: &mut Session) -> Result<(), Stopped> {
        let old = activity::open_for(session, OLD_SECONDS, OLD_NAMED).await?;
        if !old.is_empty() {
            self.events.info(format!(
                "{}: may have to wait for transactions that are open already: {}",
                self.place,
                activity::named(&old)
            ));
        }
        Ok(())
    }

    /// Runs `work`, and tells meanwhile how far it is and who holds it up. That nobody could look is no
    /// reason for the work to fail.
    pub(super) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = &mut work => return done,
            _ = self.watch() => {}
        }
        work.await
    }

    async fn watch(&self) -> Result<()> {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut session = Session::connect(&self.target, "waiting", &CancellationToken::new()).await?;
        let mut told = Vec::new();
        loop {
            let blocking =
                activity::blocking(&mut session, self.pid).await.map_err(Stopped::doing("see who blocks"))?;
            let phase = progress::of_index_build(&mut session, self.pid)
                .await
                .map_err(Stopped::doing("see how far the index is"))?;
            if let Some(Phase { name, done, total, unit }) = phase {
                let what = format!("{} {name}", self.place);
                self.events.emit(EventKind::Progress(Progress {
                    unit,
                    done,
                    total,
                    what,
                    per_second: None,
                    left_ms: None,
                }));
            }
            self.tell(blocking, &mut told);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Each is told once, however long it goes on.
    fn tell(&self, blocking: Vec<Transaction>, told: &mut Vec<String>) {
        let new: Vec<Transaction> =
            blocking.into_iter().filter(|transaction| !told.contains(&transaction.who())).collect();
        if !new.is_empty() {
            self.events.info(format!("{}: waits for {}", self.place, activity::named(&new)));
        }
        told.extend(new.iter().map(Transaction::who));
    }
}
