//! How long the worst of ten clients is held, who read and write the same table meanwhile: during
//! our backfill, during one plain UPDATE, and while nobody backfills.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rehearsal::target::Target;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::task::JoinSet;

use super::backfill::{migrate, update};
use super::figure::{By, Figure, Line, Measured};
use super::place::{Place, workspace};
use super::samples::{Spread, Unit};
use super::users;
use crate::exit;

const CLIENTS: usize = 10;
const ROUNDS: usize = 3;
const LIMIT: f64 = 0.2;
const DATABASE: &str = "bench_clients";

/// Ten clients, forty transactions a second each: 400 in all.
const PAUSE: Duration = Duration::from_millis(25);

/// What comes before and after is not counted: connections open, caches fill.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long nobody backfills, to have something to compare with.
const BASELINE: Duration = Duration::from_secs(8);

/// See the module.
pub struct Held;

#[async_trait(?Send)]
impl Figure for Held {
    fn name(&self) -> &'static str {
        "clients-held"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(users::files())?;
        let folder = folder.path();
        users::ensure(place, folder).await?;
        let (mut ours, mut theirs, mut nobody) = (Seen::default(), Seen::default(), Seen::default());
        for _ in 0..ROUNDS {
            nobody.add(
                beside(place, async |_| {
                    tokio::time::sleep(BASELINE).await;
                    Ok(BASELINE)
                })
                .await?,
            );
            ours.add(beside(place, async |target| migrate(place, folder, target).await).await?);
            theirs.add(beside(place, async |_| update(place, DATABASE).await).await?);
        }
        place.sandbox().drop_database(DATABASE, &place.cancel).await?;
        Ok(vec![
            ours.line("clients held by our backfill: the worst wait of each", Some((LIMIT, By::Worst))),
            theirs.line("  the same by the one UPDATE", None),
            nobody.line("  the same while nobody backfills", None),
        ])
    }
}

/// What the clients of some rounds saw.
#[derive(Default)]
struct Seen {
    /// The longest wait of each client of each round.
    worst: Vec<f64>,
    /// All waits.
    all: Vec<f64>,
    took: Vec<f64>,
}

impl Seen {
    fn add(&mut self, round: Self) {
        self.worst.extend(round.worst);
        self.all.extend(round.all);
        self.took.extend(round.took);
    }

    fn line(&self, what: &str, limit: Option<(f64, By)>) -> Line {
        let mut sorted = self.all.clone();
        sorted.sort_by(f64::total_cmp);
        let p99 = sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default();
        let took: f64 = self.took.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = self.all.len() as f64 / took;
        Line::Measured(Measured {
            what: what.into(),
            spread: Spread::of(&self.worst),
            unit: Unit::Seconds,
            limit,
            detail: format!(
                "{ROUNDS} rounds of {} (median), {CLIENTS} clients, {rate:.0} transactions/s, 99 % of them within {}",
                Unit::Seconds.show(Spread::of(&self.took).median),
                Unit::Seconds.show(p99)
            ),
        })
    }
}

/// Runs `work` on a fresh copy, beside clients.
async fn beside(place: &Place, work: impl AsyncFnOnce(&Target) -> anyhow::Result<Duration>) -> anyhow::Result<Seen> {
    let target = place.fresh(DATABASE, Some(users::TEMPLATE)).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(target.clone(), place.rows, Arc::clone(&stop)));
    }
    tokio::time::sleep(WARM_UP).await;
    let began = Instant::now();
    let outcome = work(&target).await;
    let ended = Instant::now();
    stop.store(true, Ordering::Relaxed);
    let mut seen = Seen { took: vec![(ended - began).as_secs_f64()], ..Seen::default() };
    while let Some(waits) = clients.join_next().await {
        let waits =
            waits.map_err(|error| exit::failed(error.to_string(), "this is a fault of the benchmark itself"))?;
        let waits = waits.map_err(|error| {
            exit::failed(format!("a client failed: {error}"), "a client must not notice a backfill")
        })?;
        // Whatever was under way while the work was.
        let during: Vec<f64> = waits
            .iter()
            .filter(|(from, to)| *to >= began && *from <= ended)
            .map(|(from, to)| (*to - *from).as_secs_f64())
            .collect();
        seen.worst.extend(during.iter().copied().max_by(f64::total_cmp));
        seen.all.extend(during);
    }
    outcome?;
    Ok(seen)
}

/// One client: a read and a write of random accounts, a pause, and again. Gives each transaction's
/// beginning and end.
async fn client(target: Target, rows: u64, stop: Arc<AtomicBool>) -> Result<Vec<(Instant, Instant)>, sqlx::Error> {
    let options = target.connect_options("bench-client").disable_statement_logging();
    let mut connection = options.connect().await?;
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        transaction(&mut connection, rows).await?;
        waits.push((began, Instant::now()));
        // Never in step with the others.
        tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
    }
    connection.close().await?;
    Ok(waits)
}

async fn transaction(connection: &mut PgConnection, rows: u64) -> Result<(), sqlx::Error> {
    let someone = || i64::try_from(fastrand::u64(1..=rows.max(1))).unwrap_or(1);
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT email, name FROM users WHERE id = $1")
        .bind(someone())
        .fetch_optional(&mut *transaction)
        .await?;
    sqlx::query("UPDATE users SET updated_at = now() WHERE id = $1").bind(someone()).execute(&mut *transaction).await?;
    transaction.commit().await
}
