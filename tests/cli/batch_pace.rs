//! How fast batches go: they get out of the way of others, give up on what takes too long, and tell how
//! far they are.

use rehearsal_tests::{Database, Project, until};
use sqlx::Executor;

use crate::batches::{batched, figures};

/// A table of so many rows, with a function that is called for every row (`FOR EACH ROW`, `new`) or every
/// batch (`FOR EACH STATEMENT`, `changed`) of an UPDATE.
fn table(rows: u32, each: &str, body: &str) -> String {
    let trigger = match each {
        "ROW" => "BEFORE UPDATE ON t FOR EACH ROW",
        _ => "AFTER UPDATE ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT",
    };
    format!(
        "CREATE TABLE t (k bigint PRIMARY KEY, n int NOT NULL DEFAULT 0, m int NOT NULL DEFAULT 0);\n\
         INSERT INTO t (k) SELECT generate_series(1, {rows});\nANALYZE t;\n\
         CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN new; END $$;\n\
         CREATE TRIGGER noticed {trigger} EXECUTE FUNCTION noticed();"
    )
}

fn raised(table: &str, limits: &str) -> Project {
    batched(table, "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;")
        .write("rehearsal.toml", &format!("[limits]\n{limits}\n"))
}

/// More than 150 rows at once never end; the first hundred say nothing of that.
#[tokio::test]
async fn a_batch_that_takes_too_long_is_halved() {
    let database = Database::create().await;
    let endless = "IF (SELECT count(*) FROM changed) > 150 THEN PERFORM pg_sleep(100); END IF";
    let limits = "batch_rows = 1000\nbatch_time = '10s'\nstatement_timeout = '500ms'";
    let project = raised(&table(400, "STATEMENT", endless), limits).on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(0).must_say("rows took longer than 500 ms; trying 500");
    assert_eq!(database.list("SELECT concat_ws(' ', n, count(*)) FROM t GROUP BY n").await, ["10 400"]);
    let figures = figures(&ended);
    assert_eq!(figures["rows"], 400);
    assert!(figures["retries"].as_u64().is_some_and(|retries| retries >= 1), "{figures}");
}

/// Where a batch cannot get smaller, its time limit is that of a statement, and ends the run.
#[tokio::test]
async fn the_smallest_batch_is_not_tried_for_ever() {
    let database = Database::create().await;
    let project = raised(
        &table(400, "STATEMENT", "PERFORM pg_sleep(100)"),
        "batch_rows = 300\nbatch_time = '10ms'\nstatement_timeout = '700ms'",
    )
    .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(5);
    assert!(ended.error().0.contains("statement timeout (57014)"), "{}", ended.text());
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM t").await, 0);
}

/// Who cancels a batch by hand means it.
#[tokio::test]
async fn a_batch_that_somebody_cancels_is_not_tried_again() {
    let database = Database::create().await;
    let project = raised(&table(400, "STATEMENT", "PERFORM pg_sleep(100)"), "batch_rows = 100").on(&database);
    let running = project.start("migrate");
    until("it can be cancelled", async || {
        let cancel = "SELECT count(*) FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event = 'PgSleep') AS cancelled";
        (database.value::<i64>(cancel).await > 0).then_some(())
    })
    .await;
    let ended = running.end().await;
    ended.must_exit(5);
    assert!(ended.error().0.contains("(57014)"), "{}", ended.text());
}

/// The batch does not end before somebody waits for one of its rows.
#[tokio::test]
async fn who_waits_for_a_batch_is_seen() {
    let database = Database::create().await;
    let wait = "IF new.k = 550 AND new.n = 10 THEN \
         WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' AND pg_backend_pid() = ANY (pg_blocking_pids(pid))) \
         LOOP PERFORM pg_sleep(0.01); END LOOP; END IF";
    let project = raised(&table(1_000, "ROW", wait), "batch_rows = 100\nbatch_time = '1ms'").on(&database);
    let running = project.start("migrate");
    until("the batch is at its row", async || {
        let there =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        (database.value::<i64>(there).await > 0).then_some(())
    })
    .await;
    let mut client = database.connect().await;
    client.execute("UPDATE t SET m = 1 WHERE k = 501").await.expect("it gets its turn");
    let ended = running.end().await;
    ended.must_exit(0).must_say("somebody waited for 1 of them");
    let figures = figures(&ended);
    assert_eq!((&figures["held_up"], &figures["rows"]), (&1.into(), &1_000.into()), "{figures}");
    assert_eq!(
        database.list("SELECT concat_ws(' ', n, m, count(*)) FROM t GROUP BY n, m ORDER BY m").await,
        ["10 0 999", "10 1 1"]
    );
}

#[tokio::test]
async fn progress_is_told_while_it_goes_on() {
    let database = Database::create().await;
    let project =
        raised(&table(1_000, "ROW", "PERFORM pg_sleep(0.001)"), "batch_rows = 100\nbatch_time = '1ms'").on(&database);
    let ended = project.run("migrate --json").await;
    ended.must_exit(0);
    let events = ended.events();
    let told: Vec<_> = events.iter().filter(|event| event["event"] == "progress").collect();
    // Every 200 ms of a second at the least.
    assert!(told.len() >= 3, "{told:?}");
    let number = |event: &serde_json::Value, field: &str| event[field].as_u64().unwrap_or_else(|| panic!("{event}"));
    for (index, event) in told.iter().enumerate() {
        assert_eq!((&event["unit"], &event["total"]), (&"rows".into(), &1_000.into()));
        assert_eq!(event["what"], "migrations/2_batched.up.sql:1");
        let (done, rate, left) = (number(event, "done"), number(event, "per_second"), number(event, "left_ms"));
        assert!(done > index.checked_sub(1).map_or(0, |before| number(told[before], "done")), "{told:?}");
        // A row takes a millisecond and something.
        assert!((1..=1_000).contains(&rate), "{event}");
        assert_eq!(left, (1_000 - done) * 1_000 / rate, "{event}");
    }
}
