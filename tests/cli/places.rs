//! An error of the server is shown at its place in the user's file, whatever was sent.

use insta::assert_snapshot;
use rehearsal_tests::{Database, Ended};

use crate::project;

/// The error, the lines of the place, and what to do.
fn told(ended: &Ended) -> String {
    let text = ended.text();
    let told: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    told.iter().filter(|line| !line.starts_with("record: ")).copied().collect::<Vec<_>>().join("\n")
}

const TABLE: &str = "CREATE TABLE a (id bigint PRIMARY KEY, n int, text text);\n\
     INSERT INTO a SELECT g, g % 7, 'x' FROM generate_series(1, 1000) g;\n\
     CREATE FUNCTION divide(n int) RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1 / n;\nEND $$;\n";

#[tokio::test]
async fn errors_are_shown_where_they_are() {
    let long = format!(
        "INSERT INTO a (id, text) VALUES (1, '{}'), (2, nowhere), (3, '{}');\n",
        "ä".repeat(400),
        "ö".repeat(400)
    );
    let mut elsewhere = Vec::new();
    for (name, sql, place) in [
        ("characters", "SELECT 1;\nSELECT 'äöü€😀' AS \"ß\",\n\t'日本', nowhere;\n", "3:8"),
        ("windows", "SELECT 1;\r\n\r\nSELECT 'ä',\r\n   nowhere,\r\n 2;\r\n", "4:4"),
        ("byte_order_mark", "\u{feff}SELECT 'ä', nowhere;\r\nSELECT 2;\r\n", "1:13"),
        ("whole", "SELECT 'ä';\r\nCREATE TABEL b (id int);\r\n", "2:8"),
        ("whole_byte_order_mark", "\u{feff}CREATE TABEL b (id int);\r\n", "1:8"),
        ("long_line", long.as_str(), "1:446"),
        (
            "batched",
            "SELECT 1;\nUPDATE a AS ä SET n = 1\n WHERE /* batch: a.id */ TRUE AND ä.n = 2 AND nowhere = 'ä';\n",
            "3:47",
        ),
        ("batched_before", "UPDATE a SET n = nowhere\n WHERE /* batch: a.id */ TRUE;\n", "1:18"),
        ("in_a_function", "SELECT 1;\nUPDATE a SET n = divide(n) WHERE id = 7;\n", "2:1"),
        (
            "in_a_do",
            "SELECT 1;\nDO $$\nDECLARE\n  i int;\nBEGIN\n  i := 1;\n  PERFORM divide(i - 1);\nEND $$;\n",
            "7:3",
        ),
        ("query_in_a_do", "DO $$\nBEGIN\n  UPDATE a SET n = 'ä' || nowhere;\nEND $$;\n", "3:27"),
        (
            "syntax_of_a_body",
            "SELECT 'ä';\nCREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRUN 1;\nEND $$;\n",
            "4:3",
        ),
        ("sql_body", "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS $$\n  SELECT 'ä' || nowhere;\n$$;\n", "2:17"),
        ("psql_variable", "INSERT INTO a (id, text)\n VALUES (5000, :'name');\n", "2:16"),
        ("end", "CREATE TABLE b (\n  id int", "2:9"),
    ] {
        let database = Database::create().await;
        let project =
            project().migration("1_a", TABLE, "DROP TABLE a;").migration("2_b", sql, "SELECT 1;").on(&database);
        project.run("migrate --to 1").await.must_exit(0);
        let ended = project.run("migrate").await;
        assert!(ended.code == Some(1) || ended.code == Some(5), "{name}: {}", ended.text());
        if !ended.error().0.starts_with(&format!("migrations/2_b.up.sql:{place}: ")) {
            elsewhere.push(format!(
                "{name}, not at {place}:
{}",
                told(&ended)
            ));
        }
        assert_snapshot!(name, told(&ended));
    }
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n\n"));
}

/// Behind the first batch another text is sent.
#[tokio::test]
async fn an_error_in_a_later_batch_is_where_it_is_written() {
    let database = Database::create().await;
    let sql = "UPDATE a SET text = 'ä'\n WHERE /* batch: a.id */ TRUE AND 1 / (id - 700) < 5 AND divide(n) = 0;\n";
    let project = project()
        .write("rehearsal.toml", "[limits]\nbatch_rows = 100\n")
        .migration("1_a", TABLE, "DROP TABLE a;")
        .migration("2_b", "SELECT 1;", "SELECT 1;")
        .migration("3_c", sql, "SELECT 1;")
        .on(&database);
    project.run("migrate").await.must_exit(5).must_say("migrations/3_c.up.sql:1:1: division by zero (22012)");
}
