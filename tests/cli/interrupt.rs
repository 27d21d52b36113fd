//! Ctrl-C, SIGTERM and SIGKILL: what is left is either nothing or something that the next run takes up.

use std::time::Duration;

use rehearsal_tests::{Database, Ended, Project, Running, docker, until};
use rustix::process::Signal;
use sqlx::Executor;

use crate::project;

/// Checks that an interrupted command has cleaned up, in the database as well. The statements here go
/// on for much longer than anything is waited for: who leaves one running fails.
async fn must_be_over(ended: &Ended, database: &Database) {
    ended.must_exit(130);
    let (error, hint) = ended.error();
    assert_eq!(error, "interrupted; what was running was cancelled and its locks were released");
    assert!(hint.starts_with("run the same command again"), "{hint}");
    let record = ended.record();
    assert_eq!((&record["outcome"], &record["exit_code"]), (&"interrupted".into(), &130.into()));
    // The server notices a closed connection a moment later.
    until("no session is left", async || database.sessions().await.is_empty().then_some(())).await;
    assert_eq!(database.advisory_locks().await, 0);
}

/// Waits until a session of the command is in a query like this; what opens its transaction may come
/// in the same breath.
async fn is_running(database: &Database, query: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
         AND application_name LIKE 'rehearsal/%' AND query ILIKE '%{query}'"
    );
    until(&format!("a session runs {query}"), async || (database.value::<i64>(&sql).await > 0).then_some(())).await;
}

/// The state that an undisturbed run ends in: rows, values, indexes and history.
async fn state(database: &Database) -> Vec<String> {
    let mut state = database.history().await;
    state.extend(database.list("SELECT concat_ws(' ', id, name, n) FROM items ORDER BY id").await);
    state.extend(database.list("SELECT concat_ws(' ', indexrelid::regclass, indisvalid) FROM pg_index WHERE indrelid = 'items'::regclass ORDER BY 1").await);
    state
}

async fn undisturbed(project: &Project) -> Vec<String> {
    let database = Database::create().await;
    let url = database.url();
    let ended = project.start_on(&url, "migrate").end().await;
    ended.must_exit(0);
    state(&database).await
}

/// A rehearsal in which every step takes long enough to be hit.
fn slow_rehearsal() -> Project {
    project()
        .migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;")
        .migration("2_b", "CREATE TABLE b (id int);\nSELECT pg_sleep(0.5);", "DROP TABLE b;\nSELECT pg_sleep(0.5);")
        .write("migrations/fixtures/1_a.sql", "INSERT INTO a SELECT generate_series(1, 100); SELECT pg_sleep(0.5);")
        .write("migrations/checks/slow.sql", "-- check: slow\n-- expect: report\n-- since: 1\nSELECT pg_sleep(0.5)\n")
}

async fn interrupted_at_every_step(signal: Signal) {
    let project = slow_rehearsal();
    for index in 0..10 {
        let mut running = project.start("rehearse --json");
        running.has_written(&format!("\"event\":\"step-started\",\"index\":{index}}}")).await;
        running.signal(signal);
        let ended = running.end().await;
        ended.must_exit(130);
        let events = ended.events();
        let last = events.last().expect("events");
        assert_eq!((&last["event"], &last["outcome"]), (&"run-finished".into(), &"interrupted".into()));
        let begun = events.iter().filter(|event| event["event"] == "step-started").count();
        assert!(begun <= index + 2, "it did not go on: {begun} steps had begun");
        assert_eq!(ended.record()["outcome"], "interrupted");
        project.must_be_clean_after(&ended).await;
    }
}

#[tokio::test]
async fn ctrl_c_at_every_step_of_a_rehearsal() {
    interrupted_at_every_step(Signal::INT).await;
}

#[tokio::test]
async fn sigterm_at_every_step_of_a_rehearsal() {
    interrupted_at_every_step(Signal::TERM).await;
}

/// `--keep` is for what failed, not for what was given up.
#[tokio::test]
async fn an_interrupted_sandbox_is_not_kept() {
    let project = slow_rehearsal();
    let mut running = project.start("rehearse --keep --json");
    running.has_written("\"event\":\"step-started\",\"index\":4}").await;
    running.signal(Signal::INT);
    let ended = running.end().await;
    ended.must_exit(130);
    project.must_be_clean_after(&ended).await;
}

#[tokio::test]
async fn a_statement_in_a_transaction() {
    for signal in [Signal::INT, Signal::TERM] {
        let database = Database::create().await;
        let project = project()
            .migration("1_a", "CREATE TABLE a (id int);\nSELECT pg_sleep(600);\n", "DROP TABLE a;")
            .on(&database);
        let running = project.start("migrate");
        is_running(&database, "SELECT pg_sleep%").await;
        running.signal(signal);
        let ended = running.end().await;
        must_be_over(&ended, &database).await;
        assert!(database.value::<bool>("SELECT to_regclass('a') IS NULL").await, "the transaction is rolled back");
        project.change("migrations/1_a.up.sql", "CREATE TABLE a (id int);\n");
        project.run("migrate").await.must_exit(0);
        assert_eq!(database.applied().await, ["1"]);
    }
}

/// A table whose rows take a moment each to be written, so that a run can be hit in the middle.
fn slow_items(rows: u32) -> Project {
    project()
        .items(rows)
        .write(
            "migrations/1_items.up.sql",
            &format!(
                "CREATE TABLE items (id bigint PRIMARY KEY, name text, n integer NOT NULL DEFAULT 0);\n\
                 INSERT INTO items (id, name) SELECT g * 3, 'item ' || g FROM generate_series(1, {rows}) g;\n\
                 CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n\
                   PERFORM pg_sleep(0.0005); RETURN new; END $$;\n\
                 CREATE TRIGGER slow BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION slow();\n"
            ),
        )
        .write("rehearsal.toml", "[limits]\nbatch_rows = 50\nrun_lock_patience = '30s'\n")
}

async fn some_batches_are_done(database: &Database) {
    until("some batches are done", async || {
        let exists = database.value::<bool>("SELECT to_regclass('items') IS NOT NULL").await;
        let some = exists && database.value::<i64>("SELECT count(*) FROM items WHERE n <> 0").await >= 100;
        some.then_some(())
    })
    .await;
}

async fn halfway(database: &Database) -> i64 {
    let raised = database.value::<i64>("SELECT count(*) FROM items WHERE n = 10").await;
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, raised * 10, "no row is raised twice");
    assert_eq!(
        database.list("SELECT concat_ws(' ', version, success) FROM _sqlx_migrations ORDER BY 1").await,
        ["1 t", "2 f"]
    );
    raised
}

#[tokio::test]
async fn in_the_middle_of_batches() {
    let project = slow_items(1_500);
    let expected = undisturbed(&project).await;
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let database = Database::create().await;
        let project = slow_items(1_500).on(&database);
        let running = project.start("migrate");
        some_batches_are_done(&database).await;
        running.signal(signal);
        let ended = running.end().await;
        if signal == Signal::KILL {
            assert_eq!(ended.code, None);
        } else {
            must_be_over(&ended, &database).await;
        }
        until("its session ends", async || database.sessions().await.is_empty().then_some(())).await;
        let raised = halfway(&database).await;
        assert!((100..1_500).contains(&raised), "{raised} rows were raised");
        // Nobody else may take it for done, or run it a second time.
        project.run("sqlx migrate run").await.must_exit(1).must_say("partially applied");
        project.run("status").await.must_exit(0).must_say("unfinished");
        let ended = project.run("rollback --to 1").await;
        ended.must_exit(5);
        assert!(ended.error().1.contains("cargo xtask migrate"), "{}", ended.text());
        project.run("plan").await.must_exit(0).must_say("goes on where it stopped");
        let ended = project.run("migrate").await;
        ended.must_exit(0).must_say("going on after id = ");
        assert_eq!(state(&database).await, expected);
    }
}

/// Holds a CREATE or DROP INDEX CONCURRENTLY up, for as long as the transaction is open.
async fn open_transaction(database: &Database) -> sqlx::PgConnection {
    let mut connection = database.connect().await;
    connection
        .execute("BEGIN; UPDATE items SET name = name WHERE id = 3; SELECT txid_current()")
        .await
        .expect("a transaction");
    connection
}

#[tokio::test]
async fn in_an_index_that_is_held_up() {
    let expected = undisturbed(&project().items(200)).await;
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let database = Database::create().await;
        let project = project().items(200).on(&database);
        project.run("migrate --to 2").await.must_exit(0);
        let mut holder = open_transaction(&database).await;
        let running = project.start("migrate");
        is_running(&database, "CREATE INDEX CONCURRENTLY%").await;
        running.signal(signal);
        let ended = running.end().await;
        if signal == Signal::KILL {
            // The server only notices when it next talks to its client.
            database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'CREATE INDEX CONCURRENTLY%' AND datname = current_database()").await;
        } else {
            must_be_over(&ended, &database).await;
        }
        until("the build ends", async || {
            let building = "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'CREATE INDEX%' AND state = 'active' AND datname = current_database()";
            (database.value::<i64>(building).await == 0).then_some(())
        })
        .await;
        let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = 'items'::regclass";
        assert_eq!(database.value::<i64>(invalid).await, 1, "PostgreSQL leaves an INVALID index");
        holder.execute("COMMIT").await.expect("the transaction ends");
        project.run("migrate").await.must_exit(0).must_say("an INVALID index items_n was left by an earlier try");
        assert_eq!(state(&database).await, expected);
        // And the way back, held up and interrupted in the same way.
        let mut holder = open_transaction(&database).await;
        let running = project.start("rollback --to 2");
        is_running(&database, "DROP INDEX CONCURRENTLY%").await;
        running.signal(signal);
        let ended = running.end().await;
        assert_eq!(ended.code, (signal != Signal::KILL).then_some(130));
        holder.execute("COMMIT").await.expect("the transaction ends");
        until("the drop ends", async || database.value::<i64>(
            "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'DROP INDEX%' AND state = 'active' AND datname = current_database()"
        ).await.eq(&0).then_some(())).await;
        project.run("migrate").await.must_exit(5);
        project.run("rollback --to 2").await.must_exit(0);
        assert_eq!(database.applied().await, ["1", "2"]);
        assert!(database.value::<bool>("SELECT to_regclass('items_n') IS NULL").await);
    }
}

#[tokio::test]
async fn while_another_run_is_waited_for() {
    let database = Database::create().await;
    let project = project().items(10).on(&database);
    let mut holder = database.connect().await;
    holder.execute("SELECT pg_advisory_lock(x'7265686561727361'::bigint)").await.expect("the lock");
    let mut running = project.start("migrate -v");
    running.has_written("preflight").await;
    until("it waits", async || {
        (database.sessions().await.iter().any(|session| session.contains("pg_try_advisory_lock"))).then_some(())
    })
    .await;
    running.signal(Signal::INT);
    running.end().await.must_exit(130);
    assert!(database.history().await.is_empty());
}

#[tokio::test]
async fn while_a_lock_is_waited_for() {
    let database = Database::create().await;
    let project = project()
        .items(10)
        .migration("4_add", "ALTER TABLE items ADD COLUMN c int;", "ALTER TABLE items DROP COLUMN c;")
        .write("rehearsal.toml", "")
        .on(&database);
    project.run("migrate --to 3").await.must_exit(0);
    let _holder = open_transaction(&database).await;
    let mut running = project.start("migrate");
    running.has_written("trying again").await;
    running.signal(Signal::INT);
    let ended = running.end().await;
    ended.must_exit(130);
    assert_eq!(database.applied().await, ["1", "2", "3"]);
    until("no session is left", async || database.sessions().await.is_empty().then_some(())).await;
}

/// In the very wait, which would last for minutes: in a transaction, in a batch, and in a statement of its own.
#[tokio::test]
async fn in_the_middle_of_a_wait_for_a_lock() {
    for (what, up) in [
        ("ALTER TABLE", "ALTER TABLE items ADD COLUMN c int;\n"),
        ("UPDATE", "UPDATE items SET n = n + 1 WHERE /* batch: items.id */ TRUE;\n"),
        ("VACUUM", "-- no-transaction\nVACUUM items;\n"),
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let database = Database::create().await;
            let limits = "[limits]\nlock_timeout = '10min'\nlock_timeout_most = '10min'\nbatch_time = '10min'\n";
            let project = project().items(10).migration("4_wait", up, "SELECT 1;").write("rehearsal.toml", limits);
            let project = project.on(&database);
            project.run("migrate --to 3").await.must_exit(0);
            let before = state(&database).await;
            let mut holder = database.connect().await;
            holder.execute("BEGIN; LOCK TABLE items IN SHARE MODE").await.expect("the lock");
            let running = project.start("migrate");
            until(&format!("{what} waits"), async || {
                let waits = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND application_name = 'rehearsal/migrate' AND query LIKE '%{what}%'"
                );
                (database.value::<i64>(&waits).await > 0).then_some(())
            })
            .await;
            running.signal(signal);
            must_be_over(&running.end().await, &database).await;
            holder.execute("COMMIT").await.expect("the lock is given back");
            let rows =
                |lines: Vec<String>| lines.into_iter().filter(|line| !line.starts_with("4 ")).collect::<Vec<_>>();
            assert_eq!(rows(state(&database).await), before, "{what}: nothing is done");
            project.run("migrate").await.must_exit(0);
            assert_eq!(database.applied().await, ["1", "2", "3", "4"], "{what}");
        }
    }
}

/// Kills at moments nobody chose. Whatever the moment, the runs after it end in the same state.
#[tokio::test]
async fn killed_at_random_moments() {
    const ROUNDS: u32 = 6;
    let expected = undisturbed(&slow_items(600)).await;
    for round in 0..ROUNDS {
        let database = Database::create().await;
        let project = slow_items(600).on(&database);
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut kills = 0;
        let ended = loop {
            let mut running = project.start("migrate");
            let wait = Duration::from_millis(random.u64(20..500));
            tokio::time::sleep(wait).await;
            let last = kills >= 4 || running.has_ended();
            if !last {
                running.signal(if random.bool() { Signal::KILL } else { Signal::TERM });
                kills += 1;
            }
            let ended = running.end().await;
            if last || ended.code == Some(0) {
                break ended;
            }
            assert!(matches!(ended.code, None | Some(130)), "round {round}, seed {seed}: {}", ended.text());
        };
        ended.must_exit(0);
        assert_eq!(state(&database).await, expected, "round {round}, seed {seed}, killed {kills} times");
        assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 6_000);
    }
}

/// The backend of a killed client goes on for a while; the next run must not overtake it.
#[tokio::test]
async fn the_backend_of_a_killed_run_is_waited_for() {
    let database = Database::create().await;
    let project = slow_items(300)
        .write("rehearsal.toml", "[limits]\nbatch_rows = 300\nrun_lock_patience = '30s'\n")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    database.execute("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN new; END $$").await;
    let running: Running = project.start("migrate --to 2");
    is_running(&database, "UPDATE items%").await;
    running.signal(Signal::KILL);
    let _ = running.end().await;
    let orphans = database.sessions().await;
    assert!(orphans.iter().any(|session| session.contains("UPDATE items")), "the backend still writes: {orphans:?}");
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 3_000);
}

#[tokio::test]
async fn what_a_killed_rehearsal_left_is_swept_by_the_next() {
    let project = slow_rehearsal();
    let mut running = project.start("rehearse --json");
    running.has_written("\"event\":\"step-started\",\"index\":4}").await;
    running.signal(Signal::KILL);
    let killed = running.end().await;
    let left = rehearsal_tests::leftovers::of(killed.pid, &project.path("tmp")).await;
    assert!(!left.is_empty(), "a killed run cannot clean up");
    project.run("rehearse").await.must_exit(0);
    project.must_be_clean_after(&killed).await;
}

/// Whoever presses Ctrl-C twice does not want to wait for anything.
#[tokio::test]
async fn a_second_ctrl_c_does_not_wait() {
    let database = Database::create().await;
    let project = project().migration("1_a", "SELECT pg_sleep(600);", "SELECT 1;").on(&database);
    let mut running = project.start("migrate");
    is_running(&database, "SELECT pg_sleep%").await;
    running.signal(Signal::INT);
    until("it ends", async || {
        running.signal(Signal::INT);
        running.has_ended().then_some(())
    })
    .await;
    running.end().await.must_exit(130);
}

/// The engine has made the container, and nobody has been told of it yet.
#[tokio::test]
async fn while_a_container_starts() {
    if !docker::is_usable("while_a_container_starts").await {
        return;
    }
    let project = slow_rehearsal();
    for signal in [Signal::INT, Signal::TERM] {
        let running = project.start("rehearse --provider docker");
        until("the container is there", async || {
            (!docker::containers_of(running.pid()).await.is_empty()).then_some(())
        })
        .await;
        running.signal(signal);
        let ended = running.end().await;
        ended.must_exit(130);
        project.must_be_clean_after(&ended).await;
    }
}

/// A server that does not start leaves no container either.
#[tokio::test]
async fn a_container_that_is_not_ready_in_time_is_removed() {
    if !docker::is_usable("a_container_that_is_not_ready_in_time_is_removed").await {
        return;
    }
    let project = slow_rehearsal().write("rehearsal.toml", "[sandbox]\nstart_limit = '1ms'\n");
    project.run("rehearse --provider docker").await.must_exit(1).must_say("the server was not ready within");
}
