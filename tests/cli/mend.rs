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

/// What a finished batch has walked may be gone by now: nobody looks at it again.
#[tokio::test]
async fn a_done_batch_may_lose_its_table() {
    let database = Database::create().await;
    let moves = "WITH moved AS (DELETE FROM t WHERE /* batch: t.k */ TRUE RETURNING *) INSERT INTO u SELECT * FROM moved;\n\
                 DROP TABLE t;\nINSERT INTO missing VALUES (1);\n";
    let project = project()
        .migration("1_t", &format!("{TABLE} CREATE TABLE u (LIKE t);"), "DROP TABLE u;")
        .migration("2_move", moves, "SELECT 1;")
        .on(&database);
    project.run("migrate").await.must_exit(5).must_say("relation \"missing\" does not exist");
    database.execute("CREATE TABLE missing (id int)").await;
    project.run("migrate").await.must_exit(0).must_say("2 of 3 statements are done");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM u").await, 7_000);
}

/// A procedure that commits and then fails has done something: whether it is to be run again is asked.
#[tokio::test]
async fn a_procedure_that_fails_behind_its_commit_is_asked_for() {
    let database = Database::create().await;
    let counts = "CREATE TABLE c (n int); INSERT INTO c VALUES (0);\n\
        CREATE PROCEDURE count_on() LANGUAGE plpgsql AS $$ BEGIN\n\
          UPDATE c SET n = n + 1; COMMIT; PERFORM 1 / (n - 1) FROM c; END $$;";
    let project = project()
        .migration("1_c", counts, "DROP PROCEDURE count_on; DROP TABLE c;")
        .migration("2_call", "-- no-transaction\nCALL count_on();\n", "SELECT 1;")
        .on(&database);
    project.run("migrate").await.must_exit(5).must_say("division by zero");
    project.run("migrate").await.must_exit(5).must_say("--unsure");
    assert_eq!(database.value::<i32>("SELECT n FROM c").await, 1);
    project.run("migrate --unsure not-done").await.must_exit(0);
    assert_eq!(database.value::<i32>("SELECT n FROM c").await, 2);
    // What was refused before it began has done nothing.
    let project = project.migration("3_call", "-- no-transaction\nCALL nobody();\n", "SELECT 1;");
    for _ in 0..2 {
        project.run("migrate").await.must_exit(5).must_say("procedure nobody() does not exist");
    }
}
