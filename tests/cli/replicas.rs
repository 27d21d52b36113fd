//! Ten replicas of a service that start while a release takes long: with this engine, and with sqlx's own.

use std::path::PathBuf;
use std::sync::Arc;

use rehearsal::startup::{StartupOutcome, StartupPolicy, migrate};
use rehearsal_tests::{Database, Project, until};
use sqlx::Executor;
use sqlx::migrate::{MigrateError, Migrator};
use tokio::task::JoinSet;

use crate::project;

const REPLICAS: usize = 10;

type Starts = JoinSet<rehearsal::Result<StartupOutcome>>;

async fn migrator(folder: PathBuf) -> Arc<Migrator> {
    Arc::new(Migrator::new(folder).await.expect("the migrations are read"))
}

fn start(database: &Database, migrator: &Arc<Migrator>, policy: StartupPolicy) -> Starts {
    let mut starts = JoinSet::new();
    for _ in 0..REPLICAS {
        let (url, migrator) = (database.url(), Arc::clone(migrator));
        starts.spawn(async move { migrate(&url, &migrator, policy).await });
    }
    starts
}

/// Services that call `sqlx::migrate!().run()`, and end when that fails.
fn start_with_sqlx(database: &Database, migrator: &Arc<Migrator>) -> JoinSet<Result<(), MigrateError>> {
    let mut starts = JoinSet::new();
    for _ in 0..REPLICAS {
        let (url, migrator) = (database.url(), Arc::clone(migrator));
        starts.spawn(async move {
            let pool = sqlx::PgPool::connect(&url).await.expect("a connection");
            let outcome = migrator.run(&pool).await;
            pool.close().await;
            outcome
        });
    }
    starts
}

async fn all(starts: Starts) -> Vec<StartupOutcome> {
    starts.join_all().await.into_iter().map(|outcome| outcome.expect("it starts")).collect()
}

async fn sessions_in(database: &Database, query: &str) -> i64 {
    database
        .value(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '{query}'"
        ))
        .await
}

/// How many have asked for the lock and were told no: one that is only about to ask may be told yes.
async fn waiting(database: &Database) -> i64 {
    database
        .value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
             AND state = 'idle' AND query LIKE '%pg_try_advisory_lock%'",
        )
        .await
}

/// A release that is held up in its last file, by somebody who writes to its first row.
async fn held_up(to: i64, query: &str) -> (Project, Database, rehearsal_tests::Running, sqlx::PgConnection) {
    let database = Database::create().await;
    let project = project()
        .items(300)
        .write("rehearsal.toml", "[limits]\nrun_lock_patience = '60s'\nlock_tries = 1000\n")
        .on(&database);
    for later in to + 1..=3 {
        for way in ["up", "down"] {
            let name = if later == 3 { "index" } else { "raise" };
            project.remove(&format!("migrations/{later}_{name}.{way}.sql"));
        }
    }
    project.run(&format!("migrate --to {}", to - 1)).await.must_exit(0);
    let mut holder = database.connect().await;
    holder
        .execute("BEGIN; UPDATE items SET name = name WHERE id = 3; SELECT txid_current()")
        .await
        .expect("a transaction");
    let running = project.start("migrate");
    until("it is held up", async || (sessions_in(&database, query).await > 0).then_some(())).await;
    (project, database, running, holder)
}

async fn applied_once(database: &Database, to: usize) {
    assert_eq!(database.applied().await.len(), to);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 3_000);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM pg_index WHERE NOT indisvalid").await, 0);
    until("no lock is left", async || (database.advisory_locks().await == 0).then_some(())).await;
}

/// Who does not wait starts, or stops with a reason; who waits does so without holding the release up.
#[tokio::test]
async fn during_a_long_index_build() {
    let (project, database, running, mut holder) = held_up(3, "CREATE INDEX CONCURRENTLY%").await;
    let migrator = migrator(project.path("migrations")).await;
    for outcome in all(start(&database, &migrator, StartupPolicy::InstantOnly)).await {
        let refused = outcome.refused.expect("it starts without the file, and says so");
        assert_eq!((refused.version, outcome.pending), (3, vec![3]));
        assert!(refused.reason.contains("another run is in the middle of it"), "{refused}");
    }
    for outcome in all(start(&database, &migrator, StartupPolicy::Check)).await {
        assert_eq!((outcome.current, outcome.pending), (Some(2), vec![3]));
    }
    for outcome in start_with_sqlx(&database, &migrator).join_all().await {
        assert!(matches!(outcome, Err(MigrateError::Dirty(3))), "{outcome:?}");
    }
    let waiting = start(&database, &migrator, StartupPolicy::Apply);
    until("all of them wait", async || (sessions_in(&database, "%pg_try_advisory_lock%").await == 10).then_some(()))
        .await;
    holder.execute("COMMIT").await.expect("the transaction ends");
    running.end().await.must_exit(0);
    for outcome in all(waiting).await {
        assert_eq!((outcome.current, outcome.applied, outcome.pending), (Some(3), vec![], vec![]));
    }
    applied_once(&database, 3).await;
}

#[tokio::test]
async fn during_a_long_backfill() {
    let (project, database, running, mut holder) = held_up(2, "UPDATE items SET n%").await;
    let migrator = migrator(project.path("migrations")).await;
    for outcome in all(start(&database, &migrator, StartupPolicy::InstantOnly)).await {
        assert_eq!(outcome.refused.map(|refused| refused.version), Some(2));
    }
    let waiting = start(&database, &migrator, StartupPolicy::Apply);
    // sqlx waits for its lock inside of the server.
    let theirs = start_with_sqlx(&database, &migrator);
    until("all of them wait", async || {
        let waiting = sessions_in(&database, "%pg_try_advisory_lock%").await
            + sessions_in(&database, "SELECT pg_advisory_lock%").await;
        (waiting == 20).then_some(())
    })
    .await;
    holder.execute("COMMIT").await.expect("the transaction ends");
    running.end().await.must_exit(0);
    assert!(all(waiting).await.iter().all(|outcome| outcome.current == Some(2)));
    assert!(theirs.join_all().await.iter().all(Result::is_ok));
    applied_once(&database, 2).await;
}

/// sqlx's waiters hold snapshots. They are there before the build begins, and must not hold it up.
#[tokio::test]
async fn a_build_behind_a_backfill_with_waiters() {
    let database = Database::create().await;
    let project = project()
        .items(300)
        .write("rehearsal.toml", "[limits]\nrun_lock_patience = '60s'\nlock_tries = 1000\n")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut holder = database.connect().await;
    holder
        .execute("BEGIN; UPDATE items SET name = name WHERE id = 3; SELECT txid_current()")
        .await
        .expect("a transaction");
    let running = project.start("migrate");
    until("the backfill is held up", async || (sessions_in(&database, "UPDATE items SET n%").await > 0).then_some(()))
        .await;
    let migrator = migrator(project.path("migrations")).await;
    let theirs = start_with_sqlx(&database, &migrator);
    until("they wait", async || (sessions_in(&database, "SELECT pg_advisory_lock%").await == 10).then_some(())).await;
    holder.execute("COMMIT").await.expect("the transaction ends");
    running.end().await.must_exit(0);
    for outcome in theirs.join_all().await {
        assert!(matches!(outcome, Ok(()) | Err(MigrateError::Dirty(3))), "{outcome:?}");
    }
    applied_once(&database, 3).await;
}

/// One that could not get through has answered for those that waited for it: they do not try in turn.
#[tokio::test]
async fn who_waited_does_not_try_what_the_one_before_could_not() {
    let database = Database::create().await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n")
        .migration("2_b", "ALTER TABLE a ADD COLUMN b int;\n", "ALTER TABLE a DROP b;\n")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let migrator = migrator(project.path("migrations")).await;
    let mut other = database.connect().await;
    other.execute("SELECT pg_advisory_lock(x'7265686561727361'::bigint)").await.expect("the lock");
    let starts = start(&database, &migrator, StartupPolicy::InstantOnly);
    until("all of them wait", async || (waiting(&database).await == 10).then_some(())).await;
    drop(other);
    for outcome in all(starts).await {
        let refused = outcome.refused.expect("it is left");
        assert!(refused.reason.contains("who held the migration lock until now has left it"), "{refused}");
    }
    assert_eq!(database.applied().await, ["1"]);
    let next = migrate(&database.url(), &migrator, StartupPolicy::InstantOnly).await.expect("it starts");
    assert_eq!(next.applied, [2], "who has not waited tries");
}
