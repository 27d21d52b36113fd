//! Clients that run statements until they are stopped, and note how long each took.
//!
//! However quick the step is that they are there for: each of them has run every statement before it
//! begins, and runs every one once more when it has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::TrafficDone;
use crate::postgres::query::{Stopped, is_connection_lost, server_words};
use crate::postgres::session::Session;
use crate::traffic::Traffic;

/// Clients at work.
pub(super) struct Clients {
    statements: Arc<[Traffic]>,
    work: JoinSet<Vec<Tally>>,
    stop: CancellationToken,
}

/// What one client saw of one statement.
#[derive(Debug, Clone, Default)]
struct Tally {
    took_us: Vec<u64>,
    errors: u64,
    error: Option<String>,
}

impl Clients {
    /// Connects them, and lets them begin.
    pub(super) async fn start(cx: &Context, statements: Vec<Traffic>) -> Result<Self> {
        let config = &cx.workspace.config.traffic;
        let statements: Arc<[Traffic]> = statements.into();
        let stop = CancellationToken::new();
        let mut work = JoinSet::new();
        let (begun, mut all_have_begun) = mpsc::channel::<()>(1);
        for number in 0..config.clients.max(1) {
            let client = Client {
                session: cx.connect("traffic").await?,
                tallies: vec![Tally::default(); statements.len()],
                statements: Arc::clone(&statements),
                // Each begins elsewhere, so that they are not all at the same statement.
                next: number * statements.len() / 2,
            };
            work.spawn(client.work(config.pause, begun.clone(), stop.clone()));
        }
        drop(begun);
        // Nobody sends anything: it ends when all of them have let go.
        all_have_begun.recv().await;
        Ok(Self { statements, work, stop })
    }

    /// Lets each end the statement that it is at, and adds up what they saw.
    pub(super) async fn stop(mut self) -> Result<Vec<TrafficDone>> {
        self.stop.cancel();
        let mut sums = vec![Tally::default(); self.statements.len()];
        while let Some(tallies) = self.work.join_next().await {
            // A client that panicked has seen nothing that could be counted on.
            let tallies = tallies.map_err(|_| Error::Interrupted)?;
            for (sum, tally) in sums.iter_mut().zip(tallies) {
                sum.took_us.extend(tally.took_us);
                sum.errors += tally.errors;
                sum.error = sum.error.take().or(tally.error);
            }
        }
        Ok(self.statements.iter().zip(sums).map(|(statement, sum)| sum.done(statement)).collect())
    }
}

/// One client: statement after statement, each as a prepared one, because that is how applications send
/// them, and a plan that is kept over a migration may fail where a fresh one does not.
struct Client {
    session: Session,
    statements: Arc<[Traffic]>,
    tallies: Vec<Tally>,
    next: usize,
}

impl Client {
    async fn work(mut self, pause: Duration, begun: mpsc::Sender<()>, stop: CancellationToken) -> Vec<Tally> {
        let mut goes_on = self.round().await;
        drop(begun);
        while goes_on && !stop.is_cancelled() {
            goes_on = self.one().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        if goes_on {
            self.round().await;
        }
        self.session.close().await;
        self.tallies
    }

    /// Every statement once. Says whether there is any use in going on.
    async fn round(&mut self) -> bool {
        for _ in 0..self.statements.len() {
            if !self.one().await {
                return false;
            }
        }
        true
    }

    async fn one(&mut self) -> bool {
        let index = self.next % self.statements.len();
        self.next += 1;
        let began = Instant::now();
        let query = sqlx::query(AssertSqlSafe(self.statements[index].sql.clone()));
        let result = self.session.fetch_bound(query).await;
        let tally = &mut self.tallies[index];
        tally.took_us.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        match result {
            Ok(_) => true,
            Err(Stopped::Interrupted) => false,
            Err(Stopped::Unexpected(what)) => {
                tally.failed(what);
                true
            }
            Err(Stopped::Failed(error)) => {
                tally.failed(server_words(&error));
                !is_connection_lost(&error)
            }
        }
    }
}

impl Tally {
    fn failed(&mut self, words: String) {
        self.errors += 1;
        self.error.get_or_insert(words);
    }

    fn done(mut self, statement: &Traffic) -> TrafficDone {
        self.took_us.sort_unstable();
        let at = |share: usize| {
            let last = self.took_us.len().saturating_sub(1);
            self.took_us.get(last * share / 100).copied().unwrap_or_default()
        };
        TrafficDone {
            name: statement.name.clone(),
            code: statement.code,
            place: format!("{}:{}", statement.path.display(), statement.line),
            runs: self.took_us.len() as u64,
            errors: self.errors,
            median_us: at(50),
            most_us: at(99),
            longest_us: at(100),
            error: self.error,
        }
    }
}
