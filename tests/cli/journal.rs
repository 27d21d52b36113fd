//! Where the journal is, and what goes on without one.

use rehearsal_tests::{Database, Project};

use crate::project;

/// A table, and a file that stops in its middle the first time.
fn stops_half_way() -> Project {
    project().items(300).migration(
        "4_half",
        "-- no-transaction\nUPDATE items SET n = n + 1 WHERE /* batch: items.id */ TRUE;\n\
         CREATE INDEX CONCURRENTLY items_n ON items (n);\nINSERT INTO missing VALUES (1);\n",
        "-- no-transaction\nDROP INDEX CONCURRENTLY items_n;\nUPDATE items SET n = n - 1 WHERE /* batch: items.id */ TRUE;\n",
    )
}

/// The owner of the public schema alone: it makes no schemas.
async fn narrow(database: &Database) -> String {
    let role = format!("narrow_{}", database.name());
    let url = database.role(&role, "secret").await;
    database.execute(&format!("ALTER SCHEMA public OWNER TO {role}")).await;
    url
}

#[tokio::test]
async fn it_may_have_a_schema_of_another_name() {
    let database = Database::create().await;
    let project = stops_half_way().write("rehearsal.toml", "[journal]\nschema = 'Ops \"journal\"'\n").on(&database);
    project.run("migrate").await.must_exit(5).must_say("relation \"missing\" does not exist");
    let rows = r#"SELECT concat_ws(' ', version, statement, state) FROM "Ops ""journal""".journal WHERE version = 4 ORDER BY 1"#;
    assert_eq!(database.list(rows).await, ["4 1 done", "4 2 done"]);
    assert!(database.value::<bool>("SELECT to_regnamespace('rehearsal') IS NULL").await);
    project.run("status").await.must_exit(0).must_say("unfinished");
    database.execute("CREATE TABLE missing (id int)").await;
    // A copy goes on where the target stopped, by the target's own journal, which is no part of what is compared.
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(0).must_say("going on at").must_say("an earlier run had stopped in version 4");
    project.run("migrate").await.must_exit(0).must_say("2 of 3 statements are done");
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 3_300);
    project.run("rollback --steps 1").await.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 3_000);
    project.run("mark-applied 4 --force --reason tried").await.must_exit(0);
    let reasons = r#"SELECT reason FROM "Ops ""journal""".overrides"#;
    assert_eq!(database.list(reasons).await, ["tried"]);
}

#[tokio::test]
async fn without_one_only_where_that_is_allowed() {
    let database = Database::create().await;
    let url = narrow(&database).await;
    let project = stops_half_way().variable("DATABASE_URL", &url);
    project.run("migrate --to 1").await.must_exit(0);
    let ended = project.run("migrate").await;
    ended.must_exit(3).must_say("may not create the schema rehearsal for the journal");
    assert_eq!(database.applied().await, ["1"]);

    project.change("rehearsal.toml", "[journal]\nrequired = false\n");
    let ended = project.run("migrate --to 3").await;
    ended.must_exit(0).must_say("no journal can be kept in schema rehearsal").must_say("mended by hand");
    assert_eq!(database.applied().await, ["1", "2", "3"]);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 3_000);

    // What stops in the middle is not run a second time.
    project.run("migrate").await.must_exit(5).must_say("relation \"missing\" does not exist");
    let ended = project.run("migrate").await;
    ended.must_exit(3);
    let (error, hint) = ended.error();
    assert!(error.contains("version 4"), "{error}");
    assert!(hint.contains("look what version 4 left behind") && hint.contains("mark-applied 4"), "{hint}");
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 3_300);
    assert!(database.value::<bool>("SELECT to_regnamespace('rehearsal') IS NULL").await);
}

#[tokio::test]
async fn a_schema_that_others_use_is_refused() {
    for schema in ["public", "pg_mine", ""] {
        let project = project().write("rehearsal.toml", &format!("[journal]\nschema = '{schema}'\n"));
        let ended = project.run("status").await;
        ended.must_exit(2).must_say("journal.schema must be the name of a schema of its own");
    }
}
