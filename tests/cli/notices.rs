//! What a migration says, and how many rows it touched, is shown and kept.

use rehearsal_tests::{Database, Ended};
use serde_json::Value;

use crate::{all_releases, project};

/// The notices of a step of the record, as `line severity text`.
fn notices(ended: &Ended, step: &str) -> Vec<String> {
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let step = steps.iter().find(|found| found["name"] == step).expect("the step");
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let show = |notice: &Value| format!("{} {} {}", notice["line"], text(&notice["severity"]), text(&notice["text"]));
    step["notices"].as_array().map(|notices| notices.iter().map(show).collect()).unwrap_or_default()
}

#[tokio::test]
async fn what_a_release_reports_is_in_the_record() {
    let database = Database::create().await;
    let project = all_releases().on(&database);
    project.run("migrate --to 13").await.must_exit(0);
    database
        .execute(
            r#"INSERT INTO "user" (email) VALUES ('ada@example.com'), ('bo@example.com'), ('cy@example.com');
               INSERT INTO workshops_userprofile (user_id, is_instructor) SELECT id, true FROM "user" WHERE id < 3"#,
        )
        .await;
    let ended = project.run("migrate --to 19").await;
    ended.must_exit(0).must_say("NOTICE: Migrated 3/3 users");
    let said = "Synced: 0 · Created: 2 · Total: 2";
    let ended = project.run("migrate --to 23").await;
    ended.must_exit(0).must_say(&format!("NOTICE: {said}"));
    assert!(notices(&ended, "migrate").iter().any(|notice| notice.ends_with(&format!(" notice {said}"))), "{ended:?}");
    assert!(ended.summary().contains(said), "{}", ended.summary());
}

#[tokio::test]
async fn severities_rows_and_places_are_told() {
    let database = Database::create().await;
    // A database that was told to be silent is heard all the same.
    database.execute(&format!("ALTER DATABASE {} SET client_min_messages = error", database.name())).await;
    let up = "CREATE TABLE t (n int);\n\
              INSERT INTO t SELECT generate_series(1, 3);\n\
              DO $$ BEGIN RAISE INFO 'an info'; RAISE NOTICE 'a notice'; RAISE WARNING 'a warning'; END $$;\n";
    let down = "DO $$ BEGIN RAISE NOTICE 'on the way back'; END $$;\nDROP TABLE t;\n";
    let project = project().migration("1_t", up, down).on(&database);
    let ended = project.run("migrate --json").await;
    ended.must_exit(0).must_say("INSERT INTO t SELECT generate_series(1, 3) — ").must_say("3 rows");
    ended.must_say("! 1:3 WARNING: a warning").must_say("1:3 INFO: an info");
    assert_eq!(notices(&ended, "migrate"), ["3 info an info", "3 notice a notice", "3 warning a warning"]);
    let events = ended.events();
    let heard: Vec<&Value> = events.iter().filter(|event| event["event"] == "notice").collect();
    assert_eq!(heard.len(), 3, "{events:?}");
    assert_eq!((&heard[0]["version"], &heard[0]["direction"]), (&Value::from(1), &Value::from("up")));

    let ended = project.run("rollback").await;
    ended.must_exit(0).must_say("1:1 NOTICE: on the way back");
}

#[tokio::test]
async fn what_is_said_outside_of_a_transaction_and_in_batches_is_heard() {
    let database = Database::create().await;
    let say = "CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN RAISE NOTICE 'a batch'; RETURN NULL; END $$;\n\
               CREATE TRIGGER say AFTER UPDATE ON items FOR EACH STATEMENT EXECUTE FUNCTION say();\n";
    let project = project().items(50).on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    database.execute(say).await;
    let project = project.write(
        "migrations/3_index.up.sql",
        "-- no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS items_n;\nCREATE INDEX CONCURRENTLY items_n ON items (n);\n",
    );
    let ended = project.run("migrate").await;
    ended.must_exit(0);
    let heard = notices(&ended, "migrate");
    assert!(heard.contains(&"2 notice a batch".to_owned()), "{heard:?}");
    assert!(heard.contains(&"2 notice index \"items_n\" does not exist, skipping".to_owned()), "{heard:?}");
}

/// A file that fails is not there, but what it said before may tell why.
#[tokio::test]
async fn a_failure_keeps_what_was_said() {
    let database = Database::create().await;
    let up = "DO $$ BEGIN RAISE NOTICE 'looked at 7 rows'; END $$;\nSELECT 1 / 0;\n";
    let project = project().migration("1_t", up, "SELECT 1;").on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(1).must_say("NOTICE: looked at 7 rows").must_say("division by zero");
    assert_eq!(notices(&ended, "migrate"), ["1 notice looked at 7 rows"]);
}

#[tokio::test]
async fn what_is_said_is_shown_harmlessly_and_not_without_end() {
    let database = Database::create().await;
    let up = "DO $$ BEGIN \
              FOR n IN 1..250 LOOP RAISE NOTICE 'row %', n; END LOOP; \
              RAISE NOTICE E'\\x1b[2J<b>|%', repeat('x', 2000); END $$;\n";
    let project = project().migration("1_t", up, "SELECT 1;").on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(0).must_say("1:1 said 151 things more before");
    let heard = notices(&ended, "migrate");
    assert_eq!((heard.len(), heard[0].as_str()), (100, "1 notice row 152"));
    assert!(heard[99].len() < 600, "{}", heard[99].len());
    assert!(!ended.text().contains('\u{1b}'), "{}", ended.text());
    assert!(!ended.summary().contains("<b>"), "{}", ended.summary());
}
