//! Batched statements of every shape: the same rows as one statement would give.

use insta::assert_snapshot;
use rehearsal_tests::{Database, Project, until, words};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::Executor;

use crate::project;

/// Small batches, so that there are many.
pub const BATCHES: &str =
    "[limits]\nbatch_rows = 100\nlock_timeout = '50ms'\nlock_timeout_most = '100ms'\nlock_tries = 5\n";

/// A migration that makes a table, and one with a batched statement.
pub fn batched(table: &str, statement: &str) -> Project {
    project().write("rehearsal.toml", BATCHES).migration("1_table", table, "SELECT 1;").migration(
        "2_batched",
        statement,
        "SELECT 1;",
    )
}

/// What our run records of the batched statement.
pub fn figures(ended: &rehearsal_tests::Ended) -> Value {
    let record = ended.record();
    let statements = record["steps"][2]["statements"].as_array().cloned().unwrap_or_default();
    statements.into_iter().find(|done| done["class"] == "batched").expect("a batched statement")
}

#[tokio::test]
async fn rows_without_a_key_are_written_once() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k bigint UNIQUE, n int NOT NULL DEFAULT 0);\n\
         INSERT INTO t (k) SELECT CASE WHEN g % 3 > 0 THEN g END FROM generate_series(1, 900) g;",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;",
    )
    .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(0);
    assert_eq!(
        database
            .list("SELECT concat_ws(' ', k IS NULL, n, count(*)) FROM t GROUP BY 1 = 1, k IS NULL, n ORDER BY 1")
            .await,
        ["f 10 600", "t 10 300"]
    );
    assert_eq!(figures(&ended)["rows"], 900);
    // No row has a key at all.
    let database = Database::create().await;
    let project = project
        .write("migrations/1_table.up.sql", "CREATE TABLE t (k bigint UNIQUE, n int NOT NULL DEFAULT 0); INSERT INTO t (n) SELECT 0 FROM generate_series(1, 20);")
        .on(&database);
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM t").await, 200);
}

#[tokio::test]
async fn an_empty_table() {
    let database = Database::create().await;
    let project =
        batched("CREATE TABLE t (k bigint PRIMARY KEY, n int);", "UPDATE t SET n = 1 WHERE /* batch: t.k */ TRUE;")
            .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(0);
    assert_eq!((&figures(&ended)["rows"], &figures(&ended)["batches"]), (&0.into(), &0.into()));
    assert_eq!(database.applied().await, ["1", "2"]);
}

/// Many rows of one key are one batch, however many they are.
#[tokio::test]
async fn keys_that_many_rows_share() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k int NOT NULL, n int NOT NULL DEFAULT 0);\n\
         INSERT INTO t (k) SELECT g / 300 FROM generate_series(1, 2000) g;\nCREATE INDEX ON t (k, n);",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;",
    )
    .on(&database);
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.list("SELECT concat_ws(' ', n, count(*)) FROM t GROUP BY n").await, ["10 2000"]);
}

/// Every batch is a share of the table's rows: bounds go by the key's own order, in which 9 comes before 10.
#[tokio::test]
async fn batches_have_the_size_that_was_asked_for() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);\n\
         CREATE TABLE seen (backend bigint, rows bigint);\n\
         INSERT INTO t (k) SELECT generate_series(1, 1000);\n\
         CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n\
           INSERT INTO seen SELECT txid_current(), count(*) FROM changed; PERFORM pg_sleep(0.2); RETURN NULL; END $$;\n\
         CREATE TRIGGER watch AFTER UPDATE ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION watch();",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;",
    )
    // Every batch takes longer than it should: they never grow, and never get smaller than this.
    .write("rehearsal.toml", "[limits]\nbatch_rows = 100\nbatch_time = '10ms'\n")
    .on(&database);
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.list("SELECT DISTINCT rows FROM seen").await, ["100"]);
    assert_eq!(
        database.value::<i64>("SELECT count(DISTINCT backend) FROM seen").await,
        10,
        "each batch is its own transaction"
    );
}

/// Who signs up during a backfill is not forgotten.
#[tokio::test]
async fn rows_that_come_meanwhile() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int);\n\
         INSERT INTO t (n) SELECT NULL FROM generate_series(1, 1000);\n\
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN new; END $$;\n\
         CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();",
        "UPDATE t SET n = 1 WHERE /* batch: t.k */ TRUE AND n IS NULL;",
    )
    .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let mut running = project.start("migrate");
    let mut inserted = 0;
    until("the batches end", async || {
        if database.value::<i64>("SELECT count(*) FROM t WHERE n = 1").await > 0 && inserted < 5 {
            database.execute("INSERT INTO t (n) SELECT NULL FROM generate_series(1, 10)").await;
            inserted += 1;
        }
        running.has_ended().then_some(())
    })
    .await;
    let ended = running.end().await;
    ended.must_exit(0);
    assert_eq!(inserted, 5, "rows came in while the batches ran");
    assert_eq!(database.list("SELECT concat_ws(' ', n, count(*)) FROM t GROUP BY n").await, ["1 1050"]);
    assert_eq!(figures(&ended)["rows"], 1_050);
}

#[tokio::test]
async fn delete_insert_select_and_update_from() {
    const TABLES: &str = "CREATE TABLE t (k bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);\n\
         INSERT INTO t SELECT g, g % 4 FROM generate_series(1, 1000) g;\n\
         CREATE TABLE other (k bigint PRIMARY KEY, label text);\n\
         INSERT INTO other SELECT g, 'label ' || g FROM generate_series(1, 1000, 2) g;";
    for (name, statement, question) in [
        (
            "delete",
            "DELETE FROM t WHERE n = 1 AND /* batch: t.k */ TRUE;",
            "SELECT concat_ws(' ', count(*), sum(k)) FROM t",
        ),
        ("delete_all", "DELETE FROM t WHERE /* batch: t.k */ TRUE", "SELECT count(*) FROM t"),
        (
            "insert_select",
            "INSERT INTO other (k, label)\nSELECT t.k + 10000, 'copy of ' || t.k FROM t WHERE t.n > 1 AND /* batch: t.k */ TRUE;",
            "SELECT concat_ws(' ', count(*), sum(k), max(label)) FROM other",
        ),
        (
            "on_conflict",
            "INSERT INTO other (k, label) SELECT k, 'new' FROM t WHERE /* batch: t.k */ TRUE ON CONFLICT (k) DO UPDATE SET label = other.label || '+';",
            "SELECT concat_ws(' ', count(*), max(label), sum(length(label))) FROM other",
        ),
        (
            "update_from",
            "UPDATE t SET n = n + length(other.label) FROM other WHERE other.k = t.k AND /* batch: t.k */ TRUE;",
            "SELECT concat_ws(' ', count(*), sum(n), sum(n * k)) FROM t",
        ),
        (
            "with",
            "WITH moved AS (DELETE FROM t WHERE n = 2 AND /* batch: t.k */ TRUE RETURNING k)\nINSERT INTO other SELECT k + 20000, 'moved' FROM moved;",
            "SELECT concat_ws(' ', count(*), sum(k)) FROM (SELECT k FROM t UNION ALL SELECT k FROM other) b",
        ),
        (
            "quoted_and_qualified",
            "UPDATE public.t AS \"t\" SET n = n + 1 WHERE ( /* batch: t.k */ TRUE );",
            "SELECT concat_ws(' ', count(*), sum(n)) FROM t",
        ),
    ] {
        let (ours, theirs) = (Database::create().await, Database::create().await);
        let project = batched(TABLES, statement);
        let ended = project.start_on(&ours.url(), "migrate").end().await;
        ended.must_exit(0);
        assert!(figures(&ended)["batches"].as_u64().is_some_and(|batches| batches >= 4), "{name}: {}", figures(&ended));
        // To sqlx the marker is TRUE: one statement does it all.
        project.start_on(&theirs.url(), "sqlx migrate run").end().await.must_exit(0);
        assert_eq!(ours.list(question).await, theirs.list(question).await, "{name}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_carry_batches() {
    for (name, statement) in [
        ("no_column", "-- one\n\nUPDATE t SET n = 1\n WHERE /* batch: t.nothing */ TRUE;"),
        (
            "no_table",
            "UPDATE t SET n = 1 WHERE /* batch: t.k */ TRUE;\nUPDATE nowhere SET n = 1 WHERE /* batch: nowhere.k */ TRUE;",
        ),
        ("other_table", "UPDATE t SET n = 1 WHERE /* batch: elsewhere.k */ TRUE;"),
        (
            "into_itself",
            "WITH gone AS (DELETE FROM t WHERE /* batch: t.k */ TRUE RETURNING k)\nINSERT INTO t SELECT k + 9 FROM gone;",
        ),
        ("no_index", "\nUPDATE t SET half = 1 WHERE /* batch: t.n */ TRUE;"),
        ("partial_index", "UPDATE t SET n = 1 WHERE /* batch: t.half */ TRUE;"),
    ] {
        let database = Database::create().await;
        let project = batched("CREATE TABLE t (k bigint PRIMARY KEY, n int, half int); CREATE INDEX ON t (half) WHERE half > 5; INSERT INTO t VALUES (1), (2);", statement).on(&database);
        project.run("migrate --to 1").await.must_exit(0);
        let ended = project.run("migrate").await;
        ended.must_exit(2);
        let (error, hint) = ended.error();
        insta::with_settings!({filters => words::filters()}, { assert_snapshot!(format!("key_{name}"), format!("{error}\n{hint}")) });
        assert_eq!(
            database.list("SELECT concat_ws(' ', version, success) FROM _sqlx_migrations").await,
            ["1 t"],
            "{name}: nothing has begun"
        );
        assert_eq!(database.value::<i64>("SELECT count(*) FROM t WHERE n IS NOT NULL").await, 0, "{name}");
        // Mended, it goes through.
        project.change("migrations/2_batched.up.sql", "UPDATE t SET n = 1 WHERE /* batch: t.k */ TRUE;");
        project.run("migrate").await.must_exit(0);
    }
}

/// A mistake behind the marker, where the range that replaces it would move the place; and no row at all.
#[tokio::test]
async fn a_mistake_is_told_at_its_place() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k bigint PRIMARY KEY, n int);",
        "UPDATE t SET n = 1\nWHERE /* batch: t.k */ TRUE\n    AND nothing IS NULL;\n",
    )
    .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(5);
    let (error, _) = ended.error();
    assert!(error.starts_with("migrations/2_batched.up.sql:3:9: column \"nothing\" does not exist (42703)"), "{error}");
    project.change("migrations/2_batched.up.sql", "UPDATE t SET n = 1 WHERE /* batch: t.k */ TRUE;");
    project.run("migrate").await.must_exit(0);
}

/// Statements of all kinds, one after the other; the second run begins where the first was stopped.
#[tokio::test]
async fn several_in_one_file() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, d int NOT NULL DEFAULT 1);\n\
         INSERT INTO t (k) SELECT generate_series(1, 1000);\nUPDATE t SET d = 0 WHERE k = 800;\n\
         CREATE TABLE log (k bigint PRIMARY KEY, n int);",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;\n\
         CREATE TABLE copy (LIKE t INCLUDING ALL);\n\
         INSERT INTO copy SELECT * FROM t WHERE /* batch: t.k */ TRUE;\n\
         CREATE INDEX CONCURRENTLY ON copy (n);\n\
         UPDATE copy SET n = n / d WHERE /* batch: copy.k */ TRUE;\n\
         WITH gone AS (DELETE FROM t WHERE k % 2 = 0 AND /* batch: t.k */ TRUE RETURNING k, n) INSERT INTO log SELECT k, n FROM gone;\n",
    )
    .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(5);
    assert!(ended.error().0.contains("migrations/2_batched.up.sql:5:"), "{}", ended.text());
    database.execute("UPDATE copy SET d = 1").await;
    let ended = project.run("migrate").await;
    ended.must_exit(0).must_say("going on after k = ");
    let record = ended.record();
    let statements = record["steps"][2]["statements"].as_array().expect("statements");
    let told: Vec<String> =
        statements.iter().map(|done| format!("{} {} {}", done["line"], done["rows"], done["already_done"])).collect();
    assert_eq!(told, ["1 1000 true", "2 0 true", "3 1000 true", "4 0 true", "5 1000 false", "6 500 false"]);
    for (question, answer) in [
        ("SELECT concat_ws(' ', count(*), sum(n)) FROM t", "500 5000"),
        ("SELECT concat_ws(' ', count(*), sum(n)) FROM copy", "1000 10000"),
        ("SELECT concat_ws(' ', count(*), sum(n)) FROM log", "500 5000"),
    ] {
        assert_eq!(database.list(question).await, [answer]);
    }
}

/// A statement that fails in the middle: what is done stays, the place is shown, and the same file
/// goes on once the data is mended.
#[tokio::test]
async fn a_batch_that_fails() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, d int NOT NULL DEFAULT 1);\n\
         INSERT INTO t (k) SELECT generate_series(1, 1000);\nUPDATE t SET d = 0 WHERE k = 800;",
        "-- comment\nUPDATE t SET n = n + 10 / d\n WHERE /* batch: t.k */ TRUE;\n",
    )
    .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let ended = project.run("migrate").await;
    ended.must_exit(5);
    let (error, hint) = ended.error();
    assert!(error.starts_with("migrations/2_batched.up.sql:2:1: division by zero (22012)"), "{error}");
    assert!(hint.contains("run the same command again"), "{hint}");
    let done = database.value::<i64>("SELECT count(*) FROM t WHERE n = 10").await;
    assert!((100..800).contains(&done), "{done} rows");
    database.execute("UPDATE t SET d = 1").await;
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.list("SELECT concat_ws(' ', n, count(*)) FROM t GROUP BY n").await, ["10 1000"]);
}

/// Rows without a key come last, and are not written again by the run that goes on.
#[tokio::test]
async fn killed_around_the_rows_without_a_key() {
    let table = "CREATE TABLE t (k bigint UNIQUE, n int NOT NULL DEFAULT 0);\n\
         INSERT INTO t (k) SELECT CASE WHEN g % 2 = 0 THEN g END FROM generate_series(1, 400) g;\n\
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN new; END $$;\n\
         CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();";
    let statement = "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;\nSELECT pg_sleep(0.3);\n";
    for at in [
        "SELECT count(*) FILTER (WHERE k IS NOT NULL AND n > 0) >= 200 FROM t",
        "SELECT count(*) FILTER (WHERE k IS NULL AND n > 0) > 0 FROM t",
    ] {
        let database = Database::create().await;
        let project = batched(table, statement).on(&database);
        project.run("migrate --to 1").await.must_exit(0);
        let running = project.start("migrate");
        until("it is there", async || database.value::<bool>(at).await.then_some(())).await;
        running.signal(Signal::KILL);
        let _ = running.end().await;
        project.run("migrate").await.must_exit(0);
        assert_eq!(database.list("SELECT concat_ws(' ', n, count(*)) FROM t GROUP BY n").await, ["10 400"]);
    }
}

/// Whoever cannot write that they are done has not done it: the journal is held by somebody else just
/// when the rows without a key are written.
#[tokio::test]
async fn rows_without_a_key_and_their_journal_are_one_transaction() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (k bigint UNIQUE, n int NOT NULL DEFAULT 0);\n\
         INSERT INTO t (n) SELECT 0 FROM generate_series(1, 100);\n\
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.005); RETURN new; END $$;\n\
         CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;",
    )
    .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let running = project.start("migrate");
    until("the rows are written", async || {
        let writing = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'UPDATE t SET%'";
        (database.value::<i64>(writing).await > 0).then_some(())
    })
    .await;
    let mut holder = database.connect().await;
    holder.execute("BEGIN; SELECT FROM rehearsal.journal FOR UPDATE").await.expect("a lock");
    running.end().await.must_exit(4);
    assert_eq!(
        database.value::<i64>("SELECT sum(n) FROM t").await,
        0,
        "they were not recorded, so they are not written"
    );
    holder.execute("COMMIT").await.expect("the lock is given back");
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM t").await, 1_000);
}

/// A key that moves on with every change would bring its row back with every sweep.
#[tokio::test]
async fn a_key_that_a_trigger_moves_on() {
    let database = Database::create().await;
    let project = project()
        .migration(
            "1_t",
            "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT '2020-01-01');\n\
             INSERT INTO t (id) SELECT generate_series(1, 900); CREATE INDEX t_at ON t (at);\n\
             CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := clock_timestamp(); RETURN NEW; END $$;\n\
             CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();\n\
             UPDATE t SET n = 0;\n",
            "DROP TABLE t; DROP FUNCTION touch();",
        )
        .migration("2_raise", "UPDATE t SET n = n + 1 WHERE /* Batch : t.at */ TRUE;\n", "SELECT 1;")
        .write("rehearsal.toml", "[limits]\nbatch_rows = 100\n")
        .on(&database);
    project.run("migrate").await.must_exit(0).must_say("at is not unique, so that one might be written twice");
    assert_eq!(database.list("SELECT DISTINCT n FROM t").await, ["1"]);
}
