//! Files as large as a table: what they need grows as they do, and what is told of them does not.

use std::fmt::Write;

use rehearsal_tests::{Database, Project};
use serde_json::Value;

use crate::project;

/// At 9 MB, what looks at the whole file for each of its statements takes minutes: longer than a command of
/// this suite may.
const ROWS: usize = 60_000;

fn rows(count: usize, line: impl Fn(usize) -> String) -> String {
    (1..=count).fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{}", line(row));
        text
    })
}

fn insert(row: usize) -> String {
    format!("INSERT INTO large (id, note) VALUES ({row}, '{row} ä; {}');", "x".repeat(100))
}

fn one_table() -> Project {
    project().migration("1_large", "CREATE TABLE large (id int PRIMARY KEY, note text);", "DROP TABLE large;")
}

#[tokio::test]
async fn very_many_statements_and_one_very_long_one() {
    let database = Database::create().await;
    let values = rows(ROWS, |row| format!("({}, '{}'),", row + ROWS, "y".repeat(100)));
    let long = format!("INSERT INTO large VALUES\n{}(0, 'z');\n", values);
    let project = one_table()
        .migration("2_many", &rows(ROWS, insert), "DELETE FROM large WHERE id <= 60000 AND id > 0;")
        .migration("3_long", &long, "DELETE FROM large WHERE id > 60000 OR id = 0;")
        .on(&database);
    let plan = project.run("plan").await;
    plan.must_exit(0).must_say(" more\n");
    assert!(plan.text().lines().count() < 50, "{}", plan.text());
    let ended = project.run("migrate").await;
    ended.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM large").await, 2 * ROWS as i64 + 1);
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let told: Vec<&Value> = steps.iter().filter_map(|step| step["statements"].as_array()).flatten().collect();
    assert!(told.len() < 50, "{}", told.len());
    assert_eq!(told.iter().filter_map(|done| done["rows"].as_u64()).sum::<u64>(), 2 * ROWS as u64 + 1);
    assert_eq!(told.iter().filter_map(|done| done["together"].as_u64()).sum::<u64>(), ROWS as u64);
    project.run("rollback --to 1").await.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM large").await, 0);
}

#[tokio::test]
async fn an_error_among_very_many_rows_is_at_its_place() {
    for (name, wrong, place) in [
        ("known when it is run", "INSERT INTO large (id, note) VALUES (7, 'there already');", "2501:1: duplicate key"),
        ("with a place of its own", "INSERT INTO large (id, note) VALUES (0, nowhere);", "2501:41: column \"nowhere\""),
    ] {
        let database = Database::create().await;
        let line = |row| if row == 2500 { wrong.to_owned() } else { insert(row) };
        let sql = format!("-- ä\n{}", rows(3000, line));
        let project = one_table().migration("2_many", &sql, "TRUNCATE large;").on(&database);
        project.run("migrate --to 1").await.must_exit(0);
        let ended = project.run("migrate").await;
        ended.must_exit(1);
        assert!(ended.error().0.starts_with(&format!("migrations/2_many.up.sql:{place}")), "{name}: {}", ended.text());
        assert_eq!(database.value::<i64>("SELECT count(*) FROM large").await, 0);
        assert_eq!(database.applied().await, ["1"]);
    }
}
