//! What a rollback throws away is told before it asks, and kept in the record.

use rehearsal_tests::Database;

use crate::project;

#[tokio::test]
async fn it_is_counted_before_anything_is_asked() {
    let database = Database::create().await;
    let down = "TRUNCATE log;\nDELETE FROM people WHERE name = 'gone';\nALTER TABLE people DROP COLUMN \"nick Name\";\n\
                DROP TABLE notes;\nDROP TABLE renamed_before;\n";
    let project = project()
        .migration("1_people", "CREATE TABLE people (name text); CREATE TABLE log (n int);", "SELECT 1;")
        .migration(
            "2_more",
            "ALTER TABLE people ADD COLUMN \"nick Name\" text; CREATE TABLE notes (n int); SELECT 1;",
            &down.replace("DROP TABLE renamed_before;", "DROP TABLE IF EXISTS renamed_before;"),
        )
        .on(&database);
    project.run("migrate").await.must_exit(0);
    database
        .execute(
            "INSERT INTO people VALUES ('ann', 'a'), ('bo', NULL); INSERT INTO log SELECT generate_series(1, 1234); \
             INSERT INTO notes VALUES (1)",
        )
        .await;
    let ended = project.run("rollback").await;
    ended.must_exit(0);
    let expected = [
        "empties table log (migrations/2_more.down.sql:1): 1,234 rows",
        "deletes from people (migrations/2_more.down.sql:2): the rows of its condition",
        "drops column people.\"nick Name\" (migrations/2_more.down.sql:3): 1 value",
        "drops table notes (migrations/2_more.down.sql:4): 1 row",
        "drops table renamed_before (migrations/2_more.down.sql:5): not there under this name as things stand",
    ];
    for line in expected {
        ended.must_say(line);
    }
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let figures = steps.iter().find(|step| step["name"] == "rollback").expect("the rollback")["losses"].clone();
    let lines = figures
        .as_array()
        .expect("figures")
        .iter()
        .map(|pair| format!("{}: {}", pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default()));
    assert_eq!(lines.collect::<Vec<_>>(), expected);

    project.run("rollback --to 0").await.must_exit(0).must_say("nothing is dropped or deleted");
}

/// Refused, it has changed nothing; but what it would have thrown away was told.
#[tokio::test]
async fn whoever_does_not_confirm_has_read_it() {
    let database = Database::create().await;
    let project = project().items(30).on(&database);
    let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("the configuration");
    let protected = config.replace("[targets.dev]\n", "[targets.dev]\nprotected = true\n");
    let project = project.write("rehearsal.toml", &protected);
    project.run("migrate").await.must_exit(0);
    let before = database.everything().await;
    let ended = project.run("rollback --to 0").await;
    ended.must_exit(3).must_say("drops table items").must_say("30 rows");
    assert_eq!(database.everything().await, before);
}
