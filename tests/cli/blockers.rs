//! Who is in the way although nobody is connected: a transaction that was prepared for a commit in two phases.

use rehearsal_tests::listening::{self, Wanted};
use rehearsal_tests::{Database, Listening, until};
use sqlx::Executor;

use crate::project;

/// A table that a prepared transaction has written to.
async fn prepared(server: &Listening) -> Database {
    let database = Database::create_on(&server.database("postgres")).await;
    database.execute("CREATE TABLE a (id int); INSERT INTO a VALUES (1)").await;
    let mut client = database.connect().await;
    client.execute("BEGIN; UPDATE a SET id = 2; PREPARE TRANSACTION 'it''s lost'").await.expect("it is prepared");
    database
}

#[tokio::test]
async fn a_prepared_transaction_is_named_with_how_to_end_it() {
    let Some(programs) = listening::programs("a_prepared_transaction_is_named_with_how_to_end_it") else { return };
    let wanted = Wanted { settings: &["max_prepared_transactions=2"], ..Wanted::default() };
    let server = Listening::start(&programs, wanted).await;
    let ways_out = "[to end it: COMMIT PREPARED 'it''s lost' or ROLLBACK PREPARED 'it''s lost']";

    let database = prepared(&server).await;
    let project =
        project().migration("1_b", "ALTER TABLE a ADD COLUMN b int;\n", "ALTER TABLE a DROP b;\n").on(&database);
    let ended = project.run("migrate").await;
    let (error, hint) = ended.must_exit(4).error();
    assert!(error.starts_with("no lock within 5 tries"), "{error}");
    assert!(hint.contains("the prepared transaction it's lost (user postgres, prepared "), "{hint}");
    assert!(hint.contains(ways_out), "{hint}");
    database.execute("ROLLBACK PREPARED 'it''s lost'").await;
    project.run("migrate").await.must_exit(0);

    // What waits by its nature tells it before it begins, and while it waits.
    let database = prepared(&server).await;
    until("it is old enough", async || {
        let old = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database() \
                   AND prepared < clock_timestamp() - interval '1.1 s')";
        database.value::<bool>(old).await.then_some(())
    })
    .await;
    let up = "-- no-transaction\nCREATE INDEX CONCURRENTLY a_id ON a (id);\n";
    let project = crate::project().migration("1_index", up, "DROP INDEX a_id;\n").on(&database);
    let mut running = project.start("migrate");
    running.has_written("1_index.up.sql:2: waits for the prepared transaction it's lost").await;
    database.execute("COMMIT PREPARED 'it''s lost'").await;
    let ended = running.end().await;
    ended.must_exit(0).must_say(ways_out);
    ended.must_say("may have to wait for transactions that are open already: the prepared transaction it's lost");
    assert_eq!(database.list("SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass").await, ["true"]);
}
