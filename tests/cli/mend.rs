//! A file that stopped at a faulty statement is mended and taken up, there and back.

use rehearsal_tests::Database;

use crate::project;

const TABLE: &str =
    "CREATE TABLE t (k bigint PRIMARY KEY, n int NOT NULL); INSERT INTO t SELECT g, 0 FROM generate_series(1, 7000) g;";
const RAISE: &str = "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;\n";

#[tokio::test]
async fn what_comes_after_the_done_statements_may_be_mended() {
    let database = Database::create().await;
    let project = project()
        .migration("1_t", TABLE, "DROP TABLE t;")
        .migration("2_b", &format!("{RAISE}UPDATE t SET wrong = 1;\n"), "UPDATE t SET n = 0;")
        .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(5).must_say("2_b.up.sql:2:14");

    // What is done must stay as it was, or it would be done again.
    project.change("migrations/2_b.up.sql", &format!("UPDATE t SET n = n;\n{RAISE}"));
    let ended = project.run("migrate").await;
    ended.must_exit(3).must_say("statement 1 was changed, removed or moved after it was run");

    project.change("migrations/2_b.up.sql", &format!("{RAISE}UPDATE t SET n = n + 1;\n"));
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.list("SELECT DISTINCT n FROM t").await, ["11"]);
    // The history knows the file that was finished, not the one that was begun.
    project.run("sqlx migrate run").await.must_exit(0);
    project.run("status").await.must_exit(0).must_say("2 migrations applied, 0 pending");
}

#[tokio::test]
async fn a_way_back_is_mended_likewise() {
    let database = Database::create().await;
    let lower = "UPDATE t SET n = n - 10 WHERE /* batch: t.k */ TRUE;\n";
    let project = project()
        .migration("1_t", TABLE, "DROP TABLE t;")
        .migration("2_b", RAISE, &format!("{lower}UPDATE t SET wrong = 1;\n"))
        .on(&database);
    project.run("migrate").await.must_exit(0);
    project.run("rollback --steps 1").await.must_exit(5);
    project.run("migrate").await.must_exit(5).must_say("a rollback of version 2 stopped half-way");

    project.change("migrations/2_b.down.sql", &format!("SELECT 1;\n{lower}"));
    project.run("rollback --steps 1").await.must_exit(3);
    project.change("migrations/2_b.down.sql", &format!("{lower}SELECT 1;\n"));
    project.run("rollback --steps 1").await.must_exit(0);
    assert_eq!(database.list("SELECT DISTINCT n FROM t").await, ["0"]);
    assert_eq!(database.applied().await, ["1"]);
}

/// Whoever worked on a database with another version of this tool leaves a journal of its format.
#[tokio::test]
async fn a_journal_of_an_earlier_version_is_brought_up_to_date_and_a_later_one_refused() {
    let database = Database::create().await;
    let project = project().migration("1_t", TABLE, "DROP TABLE t;").on(&database);
    let project = project.migration("2_b", RAISE, "UPDATE t SET n = 0;");
    project.run("migrate").await.must_exit(0);
    project.run("rollback --to 0").await.must_exit(0);
    database
        .execute(
            "COMMENT ON TABLE rehearsal.journal IS NULL; TRUNCATE rehearsal.journal; \
             ALTER TABLE rehearsal.journal DROP CONSTRAINT journal_state_check, \
             ADD CONSTRAINT journal_state_check CHECK (state IN ('started', 'done'))",
        )
        .await;
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.list("SELECT DISTINCT n FROM t").await, ["10"]);
    let check = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'journal_state_check'";
    assert!(database.value::<String>(check).await.contains("waiting"));

    database.execute("COMMENT ON TABLE rehearsal.journal IS 'format 2'").await;
    let before = database.everything().await;
    let project = project.migration("3_c", RAISE, "UPDATE t SET n = 0;");
    let ended = project.run("migrate").await;
    ended.must_exit(2).must_say("the journal in this database is of format 2, and this version of the tool knows 1");
    assert_eq!(database.everything().await, before);
}
