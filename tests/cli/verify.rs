//! `verify`: every expectation, held and not held.

use std::fmt::Write;

use rehearsal_tests::{Database, Ended, Project};
use serde_json::Value;

use crate::project;

async fn with_checks(checks: &str) -> (Database, Project) {
    let database = Database::create().await;
    let project = project()
        .migration(
            "1_t",
            "CREATE TABLE t (id int PRIMARY KEY, name text, n int);\n\
             INSERT INTO t SELECT g, 'name ' || g, g % 7 FROM generate_series(1, 60000) g;\nCREATE INDEX t_name ON t (name);\nANALYZE t;",
            "DROP TABLE t;",
        )
        .migration("2_u", "ALTER TABLE t ADD COLUMN u int;", "ALTER TABLE t DROP COLUMN u;")
        .write("migrations/checks/all.sql", checks)
        .on(&database);
    (database, project)
}

/// The checks that the last step ran.
fn checks(ended: &Ended) -> Vec<Value> {
    let record = ended.record();
    record["steps"].as_array().and_then(|steps| steps.last()?["checks"].as_array().cloned()).unwrap_or_default()
}

fn outcome(ended: &Ended, name: &str) -> Option<String> {
    let checks = checks(ended);
    checks.iter().find(|check| check["name"] == name).map(|check| check["outcome"].as_str().unwrap_or("?").to_owned())
}

/// What is expected, the query, how it comes out, and how what it found begins.
const CASES: [(&str, &str, &str, &str); 23] = [
    ("no rows", "SELECT 1 WHERE false", "passed", "no rows"),
    (
        "no rows",
        "SELECT id, name FROM t WHERE id < 3 ORDER BY id",
        "failed",
        "2 rows: id=1, name=name 1 | id=2, name=name 2",
    ),
    ("no rows", "SELECT NULL", "failed", "NULL"),
    ("rows", "SELECT * FROM t ORDER BY id", "passed", "60,000 rows: id=1, name=name 1, n=1"),
    ("rows", "SELECT * FROM t WHERE id < 0", "failed", "no rows"),
    ("true", "SELECT count(*) = 60000 FROM t", "passed", "t"),
    ("true", "SELECT count(*) = 7 FROM t", "failed", "f"),
    ("true", "SELECT NULL::bool", "failed", "NULL"),
    ("true", "SELECT true FROM t WHERE id < 3", "failed", "2 rows: t | t"),
    ("true", "SELECT true AS a, true AS b", "failed", "a=t, b=t"),
    ("true", "SELECT true WHERE false", "failed", "no rows"),
    ("value 60000", "SELECT count(*) FROM t", "passed", "60000"),
    ("value 60000", "SELECT count(*) + 1 FROM t", "failed", "60001"),
    ("value name 1", "SELECT name FROM t WHERE id = 1", "passed", "name 1"),
    ("value 2024-02-29", "SELECT date '2024-02-29'", "passed", "2024-02-29"),
    (
        "report",
        "SELECT n, count(*) FROM t WHERE n < 2 GROUP BY 1 ORDER BY 1",
        "reported",
        "2 rows: n=0, count=8571 | n=1, count=8572",
    ),
    ("uses index t_name", "SELECT * FROM t WHERE name = 'name 7'", "passed", "the planner reads t_name"),
    ("uses index t_name", "SELECT * FROM t WHERE n = 3", "failed", "the planner cannot use t_name for it"),
    (
        "uses index t_name",
        "SELECT * FROM t WHERE name > 'a'",
        "failed",
        "the planner can use t_name, but does not want to",
    ),
    ("uses index nothing", "SELECT * FROM t WHERE name = 'x'", "failed", "the planner cannot use nothing for it"),
    ("rows", "SELECT * FROM nowhere", "failed", "its query failed: relation \"nowhere\" does not exist (42P01)"),
    ("true", "SELECT 1 / 0 = 1", "failed", "its query failed: division by zero (22012)"),
    (
        "no rows",
        "DELETE FROM t RETURNING id",
        "failed",
        "its query failed: cannot execute DELETE in a read-only transaction (25006)",
    ),
];

#[tokio::test]
async fn every_expectation_held_and_not_held() {
    let mut text = String::new();
    for (number, (expect, query, ..)) in CASES.iter().enumerate() {
        writeln!(text, "-- check: case-{number}\n-- expect: {expect}\n{query};\n").expect("text grows");
    }
    let (database, project) = with_checks(&text).await;
    project.run("migrate").await.must_exit(0);
    let ended = project.run("verify").await;
    ended.must_exit(3);
    let found = checks(&ended);
    assert_eq!(found.len(), CASES.len());
    let mut failed = Vec::new();
    for (number, ((expect, query, outcome, finding), check)) in CASES.iter().zip(&found).enumerate() {
        assert_eq!(check["outcome"], *outcome, "{expect}: {query}: {check}");
        assert!(check["found"].as_str().is_some_and(|text| text.starts_with(finding)), "{expect}: {query}: {check}");
        assert_eq!(check["place"], format!("migrations/checks/all.sql:{}", number * 4 + 1));
        if *outcome == "failed" {
            failed.push(format!("case-{number}"));
        }
    }
    assert_eq!(ended.error().0, format!("{} of {} checks failed: {}", failed.len(), CASES.len(), failed.join(", ")));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM t").await, 60_000, "a check cannot write");
    // Those that hold, alone.
    let mut text = String::new();
    for (number, (expect, query, outcome, _)) in CASES.iter().enumerate() {
        if *outcome != "failed" {
            writeln!(text, "-- check: case-{number}\n-- expect: {expect}\n{query};\n").expect("text grows");
        }
    }
    project.change("migrations/checks/all.sql", &text);
    project.run("verify").await.must_exit(0).must_say("7 checks passed, 1 reported");
}

#[tokio::test]
async fn a_warning_is_told_and_lets_the_run_pass() {
    let (_database, project) = with_checks(
        "-- check: a-warning\n-- expect: no rows\n-- severity: warn\nSELECT 1;\n-- check: broken\n-- expect: rows\n-- severity: warn\nSELECT nothing;\n",
    )
    .await;
    project.run("migrate").await.must_exit(0);
    let ended = project.run("verify").await;
    ended.must_exit(0).must_say("! a-warning — expected no rows, found 1");
    assert_eq!(ended.steps(), ["verify warned"]);
    assert_eq!(ended.record()["outcome"], "warned");
    assert_eq!(outcome(&ended, "broken").as_deref(), Some("failed"));
}

#[tokio::test]
async fn since_and_until() {
    let (_database, project) = with_checks(
        "-- check: always\n-- expect: rows\nSELECT 1;\n\
         -- check: since-1\n-- expect: rows\n-- since: 1\nSELECT * FROM t;\n\
         -- check: since-2\n-- expect: rows\n-- since: 2\nSELECT * FROM t WHERE u IS NULL;\n\
         -- check: until-2\n-- expect: rows\n-- until: 2\nSELECT 1;\n\
         -- check: one-only\n-- expect: rows\n-- since: 1\n-- until: 2\nSELECT 1;\n",
    )
    .await;
    for (to, expected) in [
        (None, vec!["always", "until-2"]),
        (Some(1), vec!["always", "since-1", "until-2", "one-only"]),
        (Some(2), vec!["always", "since-1", "since-2"]),
    ] {
        if let Some(version) = to {
            project.run(&format!("migrate --to {version}")).await.must_exit(0);
        }
        let ended = project.run("verify").await;
        ended.must_exit(0);
        let names: Vec<String> =
            checks(&ended).iter().filter_map(|check| Some(check["name"].as_str()?.to_owned())).collect();
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn unchanged_from_before_the_migration_to_after_it() {
    let (database, project) = with_checks(
        "-- check: names\n-- expect: unchanged\n-- since: 1\nSELECT count(*), sum(hashtext(name)) FROM t;\n\
         -- check: order\n-- expect: unchanged\n-- since: 1\nSELECT id FROM t ORDER BY id LIMIT 20000;\n\
         -- check: new\n-- expect: unchanged\n-- since: 2\nSELECT sum(u) FROM t;\n",
    )
    .await;
    project.run("migrate --to 1").await.must_exit(0);
    project.run("migrate").await.must_exit(0);
    let ended = project.run("verify").await;
    ended.must_exit(0).must_say("compared with the audit of ");
    let outcomes = |ended: &Ended| ["names", "order", "new"].map(|name| outcome(ended, name).unwrap_or_default());
    // What was not there before cannot be compared: that is no pass.
    assert_eq!(outcomes(&ended), ["passed", "passed", "not-judged"]);
    assert_eq!(ended.steps(), ["verify warned"]);
    database.execute("UPDATE t SET name = 'changed' WHERE id = 59999").await;
    let ended = project.run("verify").await;
    ended.must_exit(3);
    assert_eq!(outcomes(&ended), ["failed", "passed", "not-judged"]);
    assert!(checks(&ended)[0]["before"].as_str().is_some_and(|before| before.starts_with("count=60000, sum=")));
    // Another database with the same record has nothing to compare with.
    let (other, _) = with_checks("").await;
    let project = project.on(&other);
    project.start_on(&other.url(), "sqlx migrate run").end().await.must_exit(0);
    let ended = project.run("verify").await;
    ended.must_exit(0);
    assert_eq!(outcomes(&ended), ["not-judged"; 3]);
}

/// The difference may be beyond the rows that are looked at: it must not pass for equal.
#[tokio::test]
async fn unchanged_counts_rows_beyond_those_it_compares() {
    let (database, project) =
        with_checks("-- check: all\n-- expect: unchanged\n-- since: 1\nSELECT id, name FROM t ORDER BY id;\n").await;
    project.run("migrate --to 1").await.must_exit(0);
    project.run("migrate").await.must_exit(0);
    project.run("verify").await.must_exit(0);
    database.execute("UPDATE t SET name = 'changed' WHERE id = 59999").await;
    assert_eq!(project.run("verify").await.code, Some(3), "a changed row beyond the first 10,000");
    database.execute("UPDATE t SET name = 'name 59999' WHERE id = 59999; DELETE FROM t WHERE id = 60000").await;
    assert_eq!(project.run("verify").await.code, Some(3), "a missing row beyond the first 10,000");
}

#[tokio::test]
async fn an_invalid_index_is_told() {
    let (database, project) = with_checks("").await;
    project.run("migrate").await.must_exit(0);
    database.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_name'::regclass").await;
    let ended = project.run("verify").await;
    ended.must_exit(0).must_say("index t_name is INVALID");
    assert_eq!(ended.steps(), ["verify warned"]);
}

#[tokio::test]
async fn a_check_that_takes_too_long_fails() {
    let (_database, project) = with_checks(
        "-- check: slow\n-- expect: rows\nSELECT pg_sleep(60);\n-- check: next\n-- expect: rows\nSELECT 1;\n",
    )
    .await;
    let project = project.write("rehearsal.toml", "[limits]\ncheck_timeout = '200ms'\n");
    let ended = project.run("verify").await;
    ended.must_exit(3).must_say("canceling statement due to statement timeout");
    assert_eq!(outcome(&ended, "next").as_deref(), Some("passed"));
}

/// What a check finds is somebody's data: it must neither steer a terminal nor break the summary.
#[tokio::test]
async fn what_is_found_is_shown_harmlessly() {
    let (_database, project) = with_checks(
        "-- check: escape\n-- expect: no rows\nSELECT E'\\x1b[31mred | <b>bold</b> \\n# head', repeat('x', 100000);\n",
    )
    .await;
    let ended = project.run("verify").await;
    ended.must_exit(3);
    assert!(!ended.text().contains('\u{1b}'), "an escape sequence is passed on");
    assert!(ended.text().lines().all(|line| line.len() < 400), "a line is too long");
    assert!(ended.summary().contains("red &#124; &lt;b&gt;bold"), "{}", ended.summary());
    assert!(!ended.summary().contains("\n# head"), "{}", ended.summary());
}

/// A run that stopped, and the one that went on with it, are one migration.
#[tokio::test]
async fn after_a_failure_it_is_compared_with_what_was_there_before_the_first_try() {
    let database = Database::create().await;
    let project = project()
        .migration("1_t", "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2);", "DROP TABLE t;")
        .migration("2_u", "UPDATE t SET n = n + 1;", "UPDATE t SET n = n - 1;")
        .migration("3_v", "SELECT 1 / 0;", "SELECT 1;")
        .migration("4_w", "CREATE TABLE w (id int);", "DROP TABLE w;")
        .write("migrations/checks/sum.sql", "-- check: sum\n-- expect: unchanged\n-- since: 1\nSELECT sum(n) FROM t;\n")
        .write("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\n[targets.same]\nurl_env = 'DATABASE_URL'\n")
        .on(&database);
    project.run("migrate --to 1 --target dev").await.must_exit(0);
    project.run("migrate --target dev").await.must_exit(1);
    project.run("migrate --target dev").await.must_exit(1);
    assert_eq!(database.applied().await, ["1", "2"]);
    project.change("migrations/3_v.up.sql", "SELECT 1;");
    project.run("migrate --to 3 --target dev").await.must_exit(0);
    let ended = project.run("verify --target dev").await;
    ended.must_exit(3);
    assert_eq!(outcome(&ended, "sum").as_deref(), Some("failed"), "the second try saw what the first had changed");
    // Another name is another target, whatever its address.
    let ended = project.run("verify --target same").await;
    assert_eq!(outcome(&ended, "sum").as_deref(), Some("not-judged"));
    // The next migration begins anew.
    project.run("migrate --target dev").await.must_exit(0);
    project.run("verify --target dev").await.must_exit(0);
}
