//! Runs that are stopped at moments nobody chose: between two round trips, in the middle of a statement, while a run
//! before it is taken up. However often, the last run ends in the state of an undisturbed one.
//!
//! The seed of each round is written to stderr; `REHEARSAL_TEST_SEED` repeats it, as far as the machine's own timing
//! lets it. A handful of rounds by default; `REHEARSAL_TEST_KILLS=all` takes some hundred.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rehearsal::target::Target;
use rehearsal_tests::state::{self, Chance};
use rehearsal_tests::{server, until};
use rustix::process::Signal;

use crate::stopped::{
    BATCHES, Case, INDEXES, MADE_ANEW, ONE_TRANSACTION, RELEASES, before_on, crash, partitioned, terminate_those,
    with_file,
};

const ROUNDS: usize = 8;

const ALL_ROUNDS: usize = 300;

/// How often the runs of one round are stopped, at most.
const MOST_BLOWS: u32 = 3;

const FILES: [&str; 4] = [ONE_TRANSACTION, INDEXES, BATCHES, MADE_ANEW];

/// What stops a run.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// SIGKILL to the command.
    Kill,
    /// `pg_terminate_backend` for all of its sessions.
    Terminate,
    /// A backend dies, and with it all of the server.
    Crash,
}

/// A command, how long it takes when nobody disturbs it, and what it ends in.
struct Prepared {
    case: Case,
    lasts: Duration,
    chance: Chance,
    expected: Vec<String>,
}

impl Prepared {
    /// The files come first, then the releases.
    async fn new(server: &Target, number: usize) -> Self {
        let case = match (FILES.get(number), number - FILES.len().min(number)) {
            (Some(file), _) => Case::on(server, with_file(file), 1).await,
            (None, 0) => Case::on(server, partitioned(), 2).await,
            (None, release) => {
                let (after, to) = RELEASES[release - 1];
                before_on(server, after, to).await
            }
        };
        let first = case.base.copy().await;
        let began = Instant::now();
        case.project.start_on(&first.url(), &case.command).end().await.must_exit(0);
        let lasts = began.elapsed();
        let chance = case.chance(&first).await;
        let expected = state::of(&first, &chance).await;
        Self { case, lasts, chance, expected }
    }

    async fn round(&self, random: &mut Rng, at: &str) {
        let Self { case, lasts, chance, expected } = self;
        let database = case.base.copy().await;
        let mut told = String::new();
        for _ in 0..random.u32(1..=MOST_BLOWS) {
            let mut running = case.project.start_on(&database.url(), &case.command);
            // Chance is all there is to wait for.
            tokio::time::sleep(lasts.mul_f64(random.f64())).await;
            let blow = [Blow::Kill, Blow::Terminate, Blow::Crash][random.usize(..3)];
            if !running.has_ended() {
                match blow {
                    Blow::Kill => running.signal(Signal::KILL),
                    Blow::Terminate => terminate_those(&database, "rehearsal/%").await,
                    Blow::Crash => crash(&database).await,
                }
            }
            let ended = running.end().await;
            told.push_str(&format!("--- {blow:?}: {:?}\n{}\n", ended.code, ended.text()));
            assert!(matches!(ended.code, None | Some(0 | 1 | 4 | 5)), "{at}\n{told}");
        }
        let last = case.gone_on(&database).await;
        told.push_str(&format!("--- the last: {:?}\n{}\n", last.code, last.text()));
        assert_eq!(last.code, Some(0), "{at}\n{told}");
        let found = state::of(&database, chance).await;
        let differ: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
        assert!(found == *expected, "{at}\n{differ:#?}\n{told}");
        until("no lock is left", async || (database.advisory_locks().await == 0).then_some(())).await;
    }
}

/// The seeds of the rounds: the one that is to be repeated, or as many as are asked for.
fn seeds() -> Vec<u64> {
    if let Ok(seed) = std::env::var("REHEARSAL_TEST_SEED") {
        return vec![seed.parse().expect("REHEARSAL_TEST_SEED is a number")];
    }
    let all = std::env::var("REHEARSAL_TEST_KILLS").is_ok_and(|value| value == "all");
    (0..if all { ALL_ROUNDS } else { ROUNDS }).map(|_| fastrand::u64(..)).collect()
}

#[tokio::test]
async fn whatever_stops_a_run_at_any_moment() {
    let own = server::another().await;
    let mut prepared = BTreeMap::new();
    for seed in seeds() {
        let mut random = Rng::with_seed(seed);
        let number = random.usize(..FILES.len() + 1 + RELEASES.len());
        if let std::collections::btree_map::Entry::Vacant(place) = prepared.entry(number) {
            place.insert(Prepared::new(&own.database("postgres"), number).await);
        }
        let prepared: &Prepared = &prepared[&number];
        let at = format!("REHEARSAL_TEST_SEED={seed}: case {number}, {}", prepared.case.command);
        writeln!(std::io::stderr(), "kills at random: {at}").expect("stderr takes it");
        prepared.round(&mut random, &at).await;
    }
    drop(prepared);
    own.remove().await;
}
