//! Indexes that were INVALID before a release are no difference after it.

use rehearsal_tests::Database;

use crate::project;

#[tokio::test]
async fn an_index_that_was_invalid_before_is_no_difference() {
    let project = project().items(10).write("rehearsal.toml", "[[releases]]\nname = 'R'\nafter = 1\nto = 3\n").write(
        "migrations/fixtures/1_items.sql",
        "CREATE INDEX items_name ON items (name);\n\
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'items_name'::regclass;\n",
    );
    let ended = project.run("rehearse").await;
    ended.must_exit(0).must_say("index items_name is INVALID");
    assert!(ended.steps().contains(&"as-before done".to_owned()), "{:?}", ended.steps());
}

/// A new one is: the way back has left it behind.
#[tokio::test]
async fn an_index_that_became_invalid_is_one() {
    let project = project()
        .items(10)
        .write("rehearsal.toml", "[[releases]]\nname = 'R'\nafter = 1\nto = 2\n")
        .write("migrations/fixtures/1_items.sql", "CREATE INDEX items_name ON items (name);\n")
        .migration(
            "2_raise",
            "SELECT 1;\n",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'items_name'::regclass;\n",
        );
    let ended = project.run("rehearse").await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.text().contains("index items_name is INVALID"), "{}", ended.text());
}

/// How such an index is built without a lock: INVALID until the last partition has its own.
#[tokio::test]
async fn the_index_of_a_partitioned_table_is_not_called_invalid() {
    let database = Database::create().await;
    database
        .execute(
            "CREATE TABLE parted (id int) PARTITION BY RANGE (id); \
             CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10); \
             CREATE INDEX parted_id ON ONLY parted (id)",
        )
        .await;
    let project = project().items(10).on(&database);
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(0);
    assert!(!ended.text().contains("INVALID"), "{}", ended.text());
}
