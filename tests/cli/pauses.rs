//! Batches that wait: for people, for the hour, for standbys, and for whoever queues at their table.

use rehearsal_tests::{Database, Ended, Pair, Project, Running, until};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::{ConnectOptions, Executor};

use crate::project;

const LIMITS: &str = "[limits]\nbatch_rows = 100\nbatch_time = '1ms'\nlock_timeout = '50ms'\n";

/// A thousand rows in ten batches, of which each raises its rows by 10.
fn ten_batches() -> Project {
    project().items(1_000).write("rehearsal.toml", LIMITS)
}

/// Waits until the command's batches are paused: nothing is open in the database meanwhile.
async fn is_paused(running: &mut Running, database: &Database) {
    running.has_written(": paused: ").await;
    until("no transaction is open", async || {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name LIKE 'rehearsal/%' AND state LIKE 'idle in transaction%'";
        (database.value::<i64>(open).await == 0).then_some(())
    })
    .await;
}

/// What the record says of the pauses of the batched statement.
fn pauses(ended: &Ended) -> Vec<Value> {
    let record = ended.record();
    let statements = record["steps"][2]["statements"].as_array().cloned().unwrap_or_default();
    let batched = statements.into_iter().find(|done| done["class"] == "batched").expect("a batched statement");
    batched["pauses"].as_array().cloned().unwrap_or_default()
}

async fn rows_done(database: &Database) -> i64 {
    database.value("SELECT count(*) FROM items WHERE n = 10").await
}

#[tokio::test]
async fn while_the_pause_file_is_there() {
    let database = Database::create().await;
    let project = ten_batches().on(&database).write(".rehearsal/pause", "");
    let mut running = project.start("migrate");
    is_paused(&mut running, &database).await;
    assert_eq!(rows_done(&database).await, 0);
    assert!(running.stdout().contains(".rehearsal/pause is there; `rm "), "{}", running.stdout());
    // Our own lock: who waits for sqlx's holds a snapshot, and this may take hours.
    until("sqlx's lock is free", async || (database.advisory_locks().await == 1).then_some(())).await;
    project.remove(".rehearsal/pause");
    let ended = running.end().await;
    ended.must_exit(0).must_say("going on after ").must_say("for the pause file");
    assert_eq!(rows_done(&database).await, 1_000);
    let pauses = pauses(&ended);
    assert_eq!((pauses.len(), &pauses[0]["reason"]), (1, &"pause-file".into()));
    assert!(pauses[0]["duration_ms"].as_u64().is_some_and(|time| time > 0), "{pauses:?}");
    assert!(ended.summary().contains("for the pause file"), "{}", ended.summary());
}

/// A rehearsal has nobody to wait for.
#[tokio::test]
async fn a_rehearsal_does_not_wait() {
    let project = ten_batches().write(".rehearsal/pause", "");
    project.change("rehearsal.toml", &format!("{LIMITS}{}", closed_window(&Database::create().await).await));
    let ended = project.run("rehearse").await;
    ended.must_exit(0);
    assert!(!ended.text().contains("paused"), "{}", ended.text());
}

#[tokio::test]
async fn a_pause_ends_with_the_run_and_not_later() {
    let database = Database::create().await;
    let project = ten_batches().on(&database).write(".rehearsal/pause", "");
    let mut running = project.start("migrate");
    is_paused(&mut running, &database).await;
    running.signal(Signal::INT);
    running.end().await.must_exit(130);
    until("no session is left", async || database.sessions().await.is_empty().then_some(())).await;
    // The server ends the session: that is noticed although nothing is done in it.
    let mut running = project.start("migrate");
    is_paused(&mut running, &database).await;
    database
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rehearsal/migrate' AND datname = current_database()")
        .await;
    let ended = running.end().await;
    ended.must_exit(5);
    assert!(ended.error().1.contains("the connection was lost"), "{}", ended.text());
    project.remove(".rehearsal/pause");
    project.run("migrate").await.must_exit(0);
    assert_eq!(rows_done(&database).await, 1_000);
}

/// A window that opens in two hours and is open for one.
async fn closed_window(database: &Database) -> String {
    let hours = "SELECT to_char(now() AT TIME ZONE 'Europe/Berlin' + interval '2 hours', 'HH24:MI') || '-' \
         || to_char(now() AT TIME ZONE 'Europe/Berlin' + interval '3 hours', 'HH24:MI')";
    format!("batch_window = '{} Europe/Berlin'\n", database.value::<String>(hours).await)
}

#[tokio::test]
async fn outside_of_their_hours() {
    let database = Database::create().await;
    let project = ten_batches().on(&database);
    project.change("rehearsal.toml", &format!("{LIMITS}{}", closed_window(&database).await));
    let mut running = project.start("migrate");
    is_paused(&mut running, &database).await;
    running.has_written("Europe/Berlin (limits.batch_window) until ").await;
    running.signal(Signal::INT);
    running.end().await.must_exit(130);
    assert_eq!(rows_done(&database).await, 0);
    let hours = "SELECT to_char(now() AT TIME ZONE 'utc' - interval '1 hour', 'HH24:MI') || '-' \
         || to_char(now() AT TIME ZONE 'utc' + interval '4 hours', 'HH24:MI')";
    let open = database.value::<String>(hours).await;
    project.change("rehearsal.toml", &format!("{LIMITS}batch_window = '{open}'\n"));
    project.run("migrate").await.must_exit(0);
    assert_eq!(rows_done(&database).await, 1_000);
}

#[tokio::test]
async fn hours_that_cannot_be_meant() {
    let database = Database::create().await;
    let project = ten_batches().on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let before = database.history().await;
    for (window, complaint) in [
        ("22-6", "line 5: `22-6` is no time of day"),
        ("22:00-06:00 UTC+2", "line 5: `UTC+2` is no name of a time zone"),
        ("22:00-06:00 Europe/Nowhere", "the server knows no time zone `Europe/Nowhere`"),
    ] {
        project.change("rehearsal.toml", &format!("{LIMITS}batch_window = '{window}'\n"));
        let ended = project.run("migrate").await;
        ended.must_exit(2);
        assert!(ended.error().0.contains(complaint), "{}", ended.text());
        assert_eq!(database.history().await, before, "nothing has begun");
    }
}

/// Whoever wants the whole table gets it before the next batch, which would only stand behind.
#[tokio::test]
async fn while_somebody_queues_for_the_table() {
    let database = Database::create().await;
    let project = ten_batches().on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut reader = database.connect().await;
    reader.execute("BEGIN; SELECT count(*) FROM items").await.expect("it reads");
    let mut changer = database.connect().await;
    let change = tokio::spawn(async move {
        changer.execute("BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE; COMMIT").await.expect("it gets the table")
    });
    let queue = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'items'::regclass";
    until("somebody queues", async || (database.value::<i64>(queue).await == 1).then_some(())).await;
    let mut running = project.start("migrate");
    is_paused(&mut running, &database).await;
    running.has_written("waits for AccessExclusiveLock on items").await;
    reader.execute("COMMIT").await.expect("it has read");
    let ended = running.end().await;
    ended.must_exit(0);
    change.await.expect("it had its turn");
    assert_eq!(rows_done(&database).await, 1_000);
    assert_eq!(pauses(&ended)[0]["reason"], "lock-queue");
}

/// Replay is stopped on the standby, which says nothing of its lag then.
#[tokio::test]
async fn while_a_standby_is_behind() {
    let Some(pair) = Pair::start("while_a_standby_is_behind").await else { return };
    // Three seconds of batches: replay has long been stopped when they end.
    let project = project()
        .migration(
            "1_table",
            "CREATE TABLE t (k bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);\n\
             INSERT INTO t SELECT generate_series(1, 3000);\n\
             CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN new; END $$;\n\
             CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();",
            "SELECT 1;",
        )
        .migration("2_batched", "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;", "SELECT 1;")
        .write("rehearsal.toml", &format!("{LIMITS}replication_lag = '300ms'\n"))
        .variable("DATABASE_URL", &pair.primary().sandbox_url());
    project.run("migrate --to 1").await.must_exit(0);
    pair.on_standby("SELECT pg_wal_replay_pause()").await;
    let mut running = project.start("migrate");
    running.has_written(": paused: standby follower is ").await;
    pair.on_standby("SELECT pg_wal_replay_resume()").await;
    let ended = running.end().await;
    ended.must_exit(0).must_say("behind; it goes on below 300 ms (limits.replication_lag)").must_say("for standbys");
    assert!(pauses(&ended).iter().any(|paused| paused["reason"] == "replication-lag"), "{}", ended.text());
    let mut connection = pair.primary().connect_options("test").connect().await.expect("it answers");
    let sum: i64 = sqlx::query_scalar("SELECT sum(n) FROM t").fetch_one(&mut connection).await.expect("a sum");
    assert_eq!(sum, 30_000);
    drop(connection);
    pair.end().await;
}

/// Who may not see standbys is told so once, and does not wait.
#[tokio::test]
async fn standbys_that_the_role_may_not_see() {
    let Some(pair) = Pair::start("standbys_that_the_role_may_not_see").await else { return };
    let superuser = pair.primary();
    for sql in ["CREATE ROLE migrator LOGIN", "CREATE DATABASE ours OWNER migrator TEMPLATE template0"] {
        rehearsal_tests::database::execute(&superuser, sql).await;
    }
    pair.on_standby("SELECT pg_wal_replay_pause()").await;
    let url = superuser.with_database("ours").sandbox_url();
    let url = format!("postgres://migrator@{}", url.split_once('@').expect("a user").1);
    let project = ten_batches()
        .write("rehearsal.toml", &format!("{LIMITS}replication_lag = '1ms'\n"))
        .variable("DATABASE_URL", &url);
    let ended = project.run("migrate").await;
    ended.must_exit(0);
    assert_eq!(ended.text().matches("GRANT pg_monitor").count(), 1, "{}", ended.text());
    assert!(pauses(&ended).is_empty(), "{}", ended.text());
    pair.end().await;
}
