//! Which locks another session holds on tables, and for how long: seen from a second connection that
//! looks at `pg_locks` every few milliseconds.
//!
//! Only locks that keep others from reading or writing are noted (of the documentation, "Explicit
//! Locking": SHARE and stronger conflict with the ROW EXCLUSIVE that every write takes), and only on
//! relations that were there before: nobody waits for one that nobody knows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sqlx::Row;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::query::Stopped;
use super::session::Session;
use crate::error::{Error, Result};
use crate::target::Target;

/// How often it is looked: a lock that is held for less hardly keeps anybody waiting.
const INTERVAL: Duration = Duration::from_millis(10);

/// The modes that are noted, the strongest last.
const MODES: [&str; 4] = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"];

const RELATIONS: &str = "\
    SELECT c.oid::bigint, n.nspname || '.' || c.relname, c.relfilenode::bigint \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'm', 'v') AND n.nspname !~ '^pg_' \
      AND n.nspname NOT IN ('information_schema', 'rehearsal')";

const LOCKS: &str = "\
    WITH locks AS MATERIALIZED (SELECT * FROM pg_locks WHERE locktype = 'relation') \
    SELECT held.relation::bigint, held.mode, held.virtualtransaction, \
           (SELECT count(*) FROM locks AS other WHERE NOT other.granted AND other.pid <> held.pid \
              AND other.relation = held.relation AND other.database = held.database) \
    FROM locks AS held \
    WHERE held.pid = $1 AND held.granted \
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
      AND held.mode = ANY ($2)";

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The locks, the longest first.
    pub locks: Vec<Held>,
    /// Tables whose rows were all written anew, or thrown away: they have another file than before.
    pub rewritten: Vec<String>,
}

/// One kind of lock on one relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Schema and name.
    pub relation: String,
    /// As `pg_locks` names it.
    pub mode: String,
    /// The longest time without a pause; up to two intervals more than it was.
    pub longest: Duration,
    /// The most sessions that waited for the relation at once.
    pub waiting: u64,
}

impl Held {
    /// A stronger lock on the same relation kept others out for at least as long.
    fn adds_nothing_to(&self, locks: &[Self]) -> bool {
        let strength = |held: &Self| MODES.iter().position(|mode| *mode == held.mode);
        let mut others = locks.iter().filter(|other| other.relation == self.relation);
        others.any(|other| strength(other) > strength(self) && other.longest >= self.longest)
    }
}

/// Watches one session.
pub struct LockWatch {
    asks: mpsc::Sender<Ask>,
}

enum Ask {
    Begin(oneshot::Sender<Result<()>>),
    Look(oneshot::Sender<Result<()>>),
    End(oneshot::Sender<Result<Seen>>),
}

impl LockWatch {
    /// Connects to watch the session with that backend. It ends with this value.
    ///
    /// # Errors
    /// When there is no second connection to be had.
    pub async fn start(target: &Target, backend: i32, cancel: &CancellationToken) -> Result<Self> {
        let session = Session::connect(target, "locks", cancel).await?;
        let (asks, asked) = mpsc::channel(1);
        let watching = Watching { session, backend, relations: HashMap::new(), held: HashMap::new(), last: None };
        tokio::spawn(watching.work(asked));
        Ok(Self { asks })
    }

    /// From here on, what is seen counts.
    ///
    /// # Errors
    /// The server's.
    pub async fn begin(&self) -> Result<()> {
        self.ask(Ask::Begin).await
    }

    /// Looks at once, so that what is held for a moment only, and given back next, is seen as well.
    ///
    /// # Errors
    /// The server's.
    pub async fn look(&self) -> Result<()> {
        self.ask(Ask::Look).await
    }

    /// What was seen since the beginning.
    ///
    /// # Errors
    /// The server's.
    pub async fn end(&self) -> Result<Seen> {
        self.ask(Ask::End).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Result<T>>) -> Ask) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        // The other side ends only when this value does, or when the program does.
        let sent = self.asks.send(ask(answer)).await;
        sent.map_err(|_| Error::Interrupted)?;
        answered.await.map_err(|_| Error::Interrupted)?
    }
}

/// The other side of it.
struct Watching {
    session: Session,
    backend: i32,
    /// The relations at the beginning, with the numbers of their files.
    relations: HashMap<i64, (String, i64)>,
    /// By relation, mode and transaction.
    held: HashMap<(i64, String, String), Sighting>,
    /// When it was looked last; none while nothing counts.
    last: Option<Instant>,
}

struct Sighting {
    from: Instant,
    to: Instant,
    ended: bool,
    waiting: u64,
}

impl Watching {
    async fn work(mut self, mut asked: mpsc::Receiver<Ask>) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ask = asked.recv() => match ask {
                    // Nobody waits for an answer that comes too late.
                    Some(Ask::Begin(answer)) => drop(answer.send(self.begin().await)),
                    Some(Ask::Look(answer)) => drop(answer.send(self.look().await)),
                    Some(Ask::End(answer)) => drop(answer.send(self.end().await)),
                    None => break,
                },
                // A look that fails is found by whoever asks next.
                _ = tick.tick(), if self.last.is_some() => drop(self.look().await),
            }
        }
        self.session.close().await;
    }

    async fn begin(&mut self) -> Result<()> {
        self.held.clear();
        self.relations = self.relations().await?;
        self.last = Some(Instant::now());
        Ok(())
    }

    async fn look(&mut self) -> Result<()> {
        let before = self.last.unwrap_or_else(Instant::now);
        let rows = self
            .session
            .fetch_bound(sqlx::query(LOCKS).bind(self.backend).bind(&MODES[..]))
            .await
            .map_err(Stopped::doing("look at the locks"))?;
        let now = Instant::now();
        let mut present: HashMap<(i64, String, String), u64> = HashMap::new();
        for row in &rows {
            let relation: i64 = row.get(0);
            if self.relations.contains_key(&relation) {
                present.insert((relation, row.get(1), row.get(2)), u64::try_from(row.get::<i64, _>(3)).unwrap_or(0));
            }
        }
        for (key, sighting) in &mut self.held {
            if !sighting.ended {
                // It was given back at some moment since the last look, if it is no longer there.
                sighting.to = now;
                sighting.ended = !present.contains_key(key);
            }
        }
        for (key, waiting) in present {
            let seen = self.held.entry(key).or_insert(Sighting { from: before, to: now, ended: false, waiting: 0 });
            if seen.ended {
                *seen = Sighting { from: before, to: now, ended: false, waiting: seen.waiting };
            }
            seen.waiting = seen.waiting.max(waiting);
        }
        self.last = Some(now);
        Ok(())
    }

    async fn end(&mut self) -> Result<Seen> {
        self.look().await?;
        self.last = None;
        let mut locks: HashMap<(i64, String), Held> = HashMap::new();
        for ((relation, mode, _), sighting) in self.held.drain() {
            let Some((name, _)) = self.relations.get(&relation) else { continue };
            let longest = sighting.to.duration_since(sighting.from);
            let held = locks.entry((relation, mode.clone())).or_insert_with(|| Held {
                relation: name.clone(),
                mode,
                longest,
                waiting: 0,
            });
            held.longest = held.longest.max(longest);
            held.waiting = held.waiting.max(sighting.waiting);
        }
        let locks: Vec<Held> = locks.into_values().collect();
        let mut locks: Vec<Held> = locks.iter().filter(|held| !held.adds_nothing_to(&locks)).cloned().collect();
        locks.sort_by(|one, other| other.longest.cmp(&one.longest).then_with(|| one.relation.cmp(&other.relation)));
        let after = self.relations().await?;
        let mut rewritten: Vec<String> = self
            .relations
            .iter()
            .filter(|(relation, (_, file))| after.get(*relation).is_some_and(|(_, other)| other != file))
            .map(|(_, (name, _))| name.clone())
            .collect();
        rewritten.sort();
        Ok(Seen { locks, rewritten })
    }

    async fn relations(&mut self) -> Result<HashMap<i64, (String, i64)>> {
        let query = sqlx::query(RELATIONS);
        let rows = self.session.fetch_bound(query).await.map_err(Stopped::doing("list the relations"))?;
        Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
    }
}
