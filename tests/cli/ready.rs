//! Whose tables are in the way of a release, and whose are not.

use rehearsal_tests::Database;

use crate::project;

/// A schema whose name has to be quoted, with a table of somebody else's and an extension's.
#[tokio::test]
async fn somebody_elses_table_stops_only_a_release_that_alters_it() {
    let database = Database::create().await;
    let role = format!("migrator_{}", database.name());
    let url = database.role(&role, "secret").await;
    database
        .execute(&format!(
            "CREATE SCHEMA \"Tenant\" AUTHORIZATION {role}; ALTER ROLE {role} SET search_path = \"Tenant\"; \
             GRANT CREATE ON DATABASE {} TO {role}; \
             CREATE TABLE \"Tenant\".spatial_ref_sys (id int); CREATE TABLE \"Tenant\".theirs (id int); \
             ALTER EXTENSION plpgsql ADD TABLE \"Tenant\".spatial_ref_sys",
            database.name()
        ))
        .await;
    let project =
        project().migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n").variable("DATABASE_URL", &url);
    let ended = project.run("migrate").await;
    ended.must_exit(0).must_say(&format!("the role {role} does not own theirs\n"));
    assert_eq!(ended.steps()[0], "preflight warned");
    let project =
        project.migration("2_b", "ALTER TABLE theirs ADD COLUMN b int;\n", "ALTER TABLE theirs DROP COLUMN b;\n");
    let ended = project.run("migrate").await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.error().0.contains("must be owner of table theirs"), "{}", ended.text());
    database
        .execute(&format!(
            "ALTER EXTENSION plpgsql DROP TABLE \"Tenant\".spatial_ref_sys; DROP OWNED BY {role} CASCADE"
        ))
        .await;
}

/// A file that is one transaction needs no journal; another one does, and somebody else may have to make
/// the place for it.
#[tokio::test]
async fn a_journal_that_may_not_be_made() {
    let database = Database::create().await;
    let role = format!("narrow_{}", database.name());
    let url = database.role(&role, "secret").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let project = project().items(10).variable("DATABASE_URL", &url);
    project.run("migrate --to 1").await.must_exit(0);
    let ended = project.run("migrate").await;
    ended.must_exit(3);
    let remedy = format!("CREATE SCHEMA \"rehearsal\" AUTHORIZATION \"{role}\"");
    assert!(ended.error().0.contains("without which nobody could tell how far"), "{}", ended.text());
    assert!(ended.error().0.contains(&remedy), "{}", ended.text());
    assert_eq!(database.applied().await, ["1"]);
    database.execute(&remedy).await;
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.applied().await, ["1", "2", "3"]);
    database.execute(&format!("DROP OWNED BY {role} CASCADE")).await;
}
