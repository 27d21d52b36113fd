//! Two runs at once, and tables that somebody else holds.

use std::time::Duration;

use rehearsal_tests::{Database, Project, project::QUICK_LIMITS, until};
use sqlx::Executor;

use crate::{project, this_workspace};

/// Whoever applies this twice leaves more than one row, or fails.
fn once_only(project: Project) -> Project {
    project
        .items(3_000)
        .migration("4_count", "CREATE TABLE counted (n int); INSERT INTO counted VALUES (1);", "DROP TABLE counted;")
        .migration(
            "5_raise_outside",
            "-- no-transaction\nUPDATE counted SET n = n + 10;\nVACUUM counted;\nUPDATE counted SET n = n + 10;\n",
            "UPDATE counted SET n = 1;",
        )
}

async fn applied_once(database: &Database) {
    assert_eq!(database.applied().await, ["1", "2", "3", "4", "5"]);
    assert_eq!(database.list("SELECT n FROM counted").await, ["21"]);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 30_000);
    assert_eq!(database.advisory_locks().await, 0);
}

#[tokio::test]
async fn several_migrates_at_once_apply_everything_once() {
    for _ in 0..2 {
        let database = Database::create().await;
        let project = once_only(project()).on(&database);
        let running: Vec<_> = (0..4).map(|_| project.start("migrate")).collect();
        for running in running {
            running.end().await.must_exit(0);
        }
        applied_once(&database).await;
    }
}

#[tokio::test]
async fn beside_sqlx_nothing_is_applied_twice() {
    let database = Database::create().await;
    let project = this_workspace().on(&database);
    let (ours, theirs) = (project.start("migrate"), project.start("sqlx migrate run"));
    // sqlx-cli takes no lock, so it may run into what is under way and stop; it must not do harm.
    let (ours, _theirs) = (ours.end().await, theirs.end().await);
    assert!(matches!(ours.code, Some(0 | 1 | 3 | 5)), "{}", ours.text());
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.applied().await.len(), 6);
    project.run("verify").await.must_exit(0);
}

#[tokio::test]
async fn a_run_that_goes_on_for_too_long_is_not_waited_for() {
    let database = Database::create().await;
    let project = project().items(10).write("rehearsal.toml", "[limits]\nrun_lock_patience = '1500ms'\n").on(&database);
    let mut holder = database.connect().await;
    holder.execute("SELECT pg_advisory_lock(x'7265686561727361'::bigint)").await.expect("the lock");
    let ended = project.run("migrate").await;
    // It does not wait in silence.
    ended.must_exit(4).must_say("waiting for another run, for at most 1s 500ms: pid ");
    let (error, hint) = ended.error();
    assert!(error.contains("another run is at work on dev") && error.contains(", test, from "), "{error}");
    assert!(hint.contains("run the same command again"), "{hint}");
    assert!(database.history().await.is_empty());
    // Who only looks does not wait.
    project.run("status").await.must_exit(0);
    project.run("plan").await.must_exit(0);
    drop(holder);
    project.run("migrate").await.must_exit(0);
}

/// An app that starts meanwhile and waits in `pg_advisory_lock`, as sqlx's library does: the index
/// build must not wait for it in turn.
#[tokio::test]
async fn an_app_that_waits_for_sqlxs_lock_is_no_deadlock() {
    let database = Database::create().await;
    let project = project().items(50).on(&database);
    project.run("migrate --to 2").await.must_exit(0);
    let mut blocker = database.connect().await;
    blocker.execute("BEGIN; UPDATE items SET name = name WHERE id = 3").await.expect("a transaction");
    let running = project.start("migrate");
    until("the build is held up", async || {
        let building = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'CREATE INDEX CONC%'";
        (database.value::<i64>(building).await > 0).then_some(())
    })
    .await;
    let url = database.url();
    let waiting = tokio::spawn(async move {
        use sqlx::migrate::Migrate;
        let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.expect("a connection");
        connection.lock().await.expect("sqlx's lock");
        connection.unlock().await.expect("it is given back");
    });
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("the lock is free during the build")
        .expect("no panic");
    blocker.execute("COMMIT").await.expect("the transaction ends");
    running.end().await.must_exit(0);
    assert_eq!(database.applied().await, ["1", "2", "3"]);
}

/// A migration that needs an exclusive lock on a table.
fn needs_a_lock() -> Project {
    project().migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;").migration(
        "2_b",
        "CREATE TABLE b (id int);\nALTER TABLE a ADD COLUMN c int;\n",
        "DROP TABLE b;\nALTER TABLE a DROP COLUMN c;\n",
    )
}

#[tokio::test]
async fn a_lock_that_is_given_back_is_tried_again() {
    let database = Database::create().await;
    let project = needs_a_lock().write("rehearsal.toml", "[limits]\nlock_timeout = '30ms'\n").on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut holder = database.connect().await;
    holder.execute("BEGIN; SELECT * FROM a").await.expect("a lock");
    let mut running = project.start("migrate");
    running.has_written("migrations/2_b.up.sql:2: no lock within").await;
    // Whoever comes later is let through between two tries.
    tokio::time::timeout(Duration::from_secs(10), database.execute("SELECT * FROM a"))
        .await
        .expect("readers get through");
    holder.execute("COMMIT").await.expect("the lock is given back");
    let ended = running.end().await;
    ended.must_exit(0);
    let statement = &ended.record()["steps"][2]["statements"][1];
    assert!(statement["retries"].as_u64() > Some(0), "{statement}");
    assert_eq!(database.applied().await, ["1", "2"]);
}

#[tokio::test]
async fn a_lock_that_is_never_given_back() {
    let database = Database::create().await;
    let project = needs_a_lock().on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut holder = database.connect().await;
    holder.execute("BEGIN; SELECT E'it\\'s secret', $$secret$$, 4711 FROM a -- secret").await.expect("a lock");
    let before = database.everything().await;
    let ended = project.run("migrate").await;
    ended.must_exit(4);
    let (error, hint) = ended.error();
    assert!(error.starts_with("no lock within 5 tries for migrations/2_b.up.sql:2"), "{error}");
    // Who is in the way, and how to end it; nothing of what it holds.
    assert!(hint.contains("(test, user ") && hint.contains(", idle in transaction, in its transaction for "), "{hint}");
    assert!(hint.contains(": BEGIN; SELECT '…', '…', … FROM a [to end it: SELECT pg_terminate_backend("), "{hint}");
    assert!(!ended.text().contains("secret") && !ended.text().contains("4711"), "{}", ended.text());
    assert_eq!(database.everything().await, before);
    // And the way back.
    holder.execute("COMMIT").await.expect("the lock is given back");
    project.run("migrate").await.must_exit(0);
    holder.execute("BEGIN; SELECT * FROM a").await.expect("a lock");
    let ended = project.run("rollback").await;
    assert_eq!(ended.steps(), ["backup done", "rollback failed"]);
    ended.must_exit(4);
    assert_eq!(database.applied().await, ["1", "2"]);
}

/// In a file that is not one transaction, what is done before stays done.
#[tokio::test]
async fn a_row_that_somebody_holds_during_batches() {
    let database = Database::create().await;
    let project = project()
        .items(1_000)
        .write("rehearsal.toml", &QUICK_LIMITS.replace("lock_tries", "batch_rows = 100\nlock_tries"))
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut holder = database.connect().await;
    holder.execute("BEGIN; UPDATE items SET name = 'held' WHERE id = 1500").await.expect("a lock");
    let ended = project.run("migrate").await;
    ended.must_exit(4);
    assert!(ended.error().0.starts_with("no lock within 5 tries for migrations/2_raise.up.sql:2"), "{}", ended.text());
    let raised = database.value::<i64>("SELECT count(*) FROM items WHERE n = 10").await;
    assert!((300..500).contains(&raised), "what was done before stays done: {raised} rows");
    holder.execute("COMMIT").await.expect("the lock is given back");
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 10_000);
}

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let database = Database::create().await;
    let project = project()
        .migration(
            "1_ab",
            "CREATE TABLE a (id int); CREATE TABLE b (id int); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);",
            "DROP TABLE a, b;",
        )
        .migration("2_cross", "UPDATE a SET id = 2;\nSELECT pg_sleep(0.5);\nUPDATE b SET id = 2;\n", "SELECT 1;")
        .write("rehearsal.toml", "[limits]\nlock_timeout = '20s'\nlock_timeout_most = '20s'\n")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut other = database.connect().await;
    // This side waits longer before it looks for a deadlock: the migration is the one that is ended.
    other.execute("SET deadlock_timeout = '30s'; BEGIN; UPDATE b SET id = 3").await.expect("a lock");
    let running = project.start("migrate");
    until("the migration has the first table", async || {
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(0.5)%' AND application_name LIKE 'rehearsal/%'";
        (database.value::<i64>(sleeping).await > 0).then_some(())
    })
    .await;
    other.execute("UPDATE a SET id = 3; COMMIT").await.expect("the migration gives way");
    let ended = running.end().await;
    ended.must_exit(0).must_say("trying again");
    assert_eq!(database.list("SELECT id FROM a UNION ALL SELECT id FROM b").await, ["2", "2"]);
}

/// The connection breaks in the middle, as networks do.
#[tokio::test]
async fn a_connection_that_is_lost() {
    use rehearsal_tests::forward::Forward;

    let database = Database::create().await;
    let role = format!("far_{}", database.name());
    database.role(&role, "away").await;
    database.execute(&format!("GRANT ALL ON SCHEMA public TO {role}")).await;
    let forward = Forward::open().await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);\nSELECT pg_sleep(3);\n", "DROP TABLE a;")
        .variable("DATABASE_URL", &forward.url(&role, "away", &database));
    let running = project.start("migrate");
    until("the statement runs", async || {
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep(3)%' AND state = 'active'";
        (database.value::<i64>(sleeping).await > 0).then_some(())
    })
    .await;
    drop(forward);
    let ended = running.end().await;
    ended.must_exit(4);
    let (error, hint) = ended.error();
    assert!(error.starts_with("migrations/1_a.up.sql:2:1: "), "{error}");
    assert!(hint.contains("the connection was lost"), "{hint}");
    assert!(hint.ends_with("the file was applied as a whole or not at all, and the next run sees which"), "{hint}");
    until("its session ends", async || database.sessions().await.is_empty().then_some(())).await;
    project.variable("DATABASE_URL", &database.url()).run("migrate").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
    database.execute(&format!("DROP OWNED BY {role}")).await;
}

/// What cannot be in a transaction is tried again as well, and says who is in its way.
#[tokio::test]
async fn a_lock_outside_of_a_transaction_is_tried_again() {
    let database = Database::create().await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;")
        .migration("2_full", "-- no-transaction\nVACUUM FULL a;\n", "SELECT 1;")
        .write("rehearsal.toml", "[limits]\nlock_timeout = '100ms'\n")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut holder = database.connect().await;
    holder.execute("BEGIN; SELECT * FROM a").await.expect("a lock");
    let mut running = project.start("migrate");
    // Whose connection takes a password over a network may be too late to look at the first try.
    running.has_written(" ms, blocked by pid").await;
    holder.execute("COMMIT").await.expect("the lock is given back");
    running.end().await.must_exit(0);
    assert_eq!(database.applied().await, ["1", "2"]);
}
