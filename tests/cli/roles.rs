//! A rehearsal runs with the rights of the real run: what the target's role must not do fails there too.

use rehearsal_tests::Database;

use crate::project;

/// The URL of a role that owns the database and has these attributes.
async fn owner(database: &Database, role: &str, attributes: &str) -> String {
    let url = database.role(role, "secret").await;
    database
        .execute(&format!("ALTER DATABASE {} OWNER TO {role}; ALTER ROLE {role} {attributes}", database.name()))
        .await;
    url
}

/// Most hosted servers call the user's role so, and it is no superuser there.
#[tokio::test]
async fn a_role_called_postgres_does_not_become_a_superuser() {
    let database = Database::create().await;
    let url = owner(&database, "postgres", "NOSUPERUSER").await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;")
        .migration("2_b", "SELECT pg_read_file('PG_VERSION');", "SELECT 1;")
        .variable("DATABASE_URL", &url);
    project.run("migrate --to 1").await.must_exit(0);
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(1);
    assert!(ended.error().0.contains("permission denied for function pg_read_file"), "{}", ended.text());
    assert!(ended.steps().contains(&"copy done".to_owned()), "{:?}", ended.steps());
    project.run("migrate").await.must_exit(1).must_say("permission denied for function pg_read_file");
}

#[tokio::test]
async fn what_a_role_may_do_is_copied() {
    let database = Database::create().await;
    let role = format!("maker_{}", database.name());
    let url = owner(&database, &role, "CREATEROLE CREATEDB BYPASSRLS REPLICATION").await;
    let attributes = format!(
        "DO $$ BEGIN ASSERT (SELECT rolcreaterole AND rolcreatedb AND rolbypassrls AND rolreplication \
         AND NOT rolsuper FROM pg_roles WHERE rolname = '{role}'); END $$;\nCREATE ROLE made_by_{role};"
    );
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;")
        .migration("2_b", &attributes, &format!("DROP ROLE made_by_{role};"))
        .variable("DATABASE_URL", &url);
    project.run("migrate --to 1").await.must_exit(0);
    project.run("rehearse --target dev").await.must_exit(0);
}

/// Usual since PostgreSQL 15: the role may create in a schema, and not in the database.
#[tokio::test]
async fn a_role_that_may_only_create_in_a_schema_is_rehearsed_as_itself() {
    let database = Database::create().await;
    let role = format!("narrow_{}", database.name());
    let url = database.role(&role, "secret").await;
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;")
        .migration("2_b", "CREATE TABLE b (id int);", "DROP TABLE b;")
        .variable("DATABASE_URL", &url);
    project.run("migrate --to 1").await.must_exit(0);
    // What it may do goes as it will: the grant on the schema came with the dump.
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(0).must_say(&format!("as role {role}"));
    assert!(ended.steps().contains(&"copy done".to_owned()), "{:?}", ended.steps());
    // What it must not do fails as it will.
    let project = project.migration("2_b", "CREATE SCHEMA other;", "DROP SCHEMA other;");
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(1);
    assert!(ended.error().0.contains("permission denied for database"), "{}", ended.text());
    database.execute(&format!("DROP OWNED BY {role}")).await;
}

#[tokio::test]
async fn a_reader_gives_way_to_the_owner_and_that_is_told() {
    let database = Database::create().await;
    let reader = format!("only_reads_{}", database.name());
    let url = database.role(&reader, "secret").await;
    // PUBLIC may create in `public` before PostgreSQL 15.
    database.execute(&format!("GRANT pg_read_all_data TO {reader}; REVOKE CREATE ON SCHEMA public FROM PUBLIC")).await;
    let project = project().items(10).on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let project = project.variable("DATABASE_URL", &url);
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(0).must_say(&format!("role {reader} may create nothing there"));
    assert!(ended.steps().contains(&"copy warned".to_owned()), "{:?}", ended.steps());
}

/// What the migrating role cannot see has to be copied, and compared, as well.
#[tokio::test]
async fn rows_that_the_migrating_role_cannot_see_are_read_in_the_copy() {
    let database = Database::create().await;
    let (owner_role, reader) = (format!("owner_{}", database.name()), format!("sees_all_{}", database.name()));
    let owner_url = owner(&database, &owner_role, "NOBYPASSRLS").await;
    let reader_url = database.role(&reader, "secret").await;
    database
        .execute(&format!(
            "GRANT pg_read_all_data TO {reader}; ALTER ROLE {reader} BYPASSRLS; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             CREATE SCHEMA theirs; GRANT USAGE ON SCHEMA theirs TO {owner_role}; CREATE TABLE theirs.hidden (id serial); \
             INSERT INTO theirs.hidden SELECT FROM generate_series(1, 9); GRANT SELECT ON theirs.hidden TO {owner_role}; \
             ALTER TABLE theirs.hidden ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON theirs.hidden USING (id < 3)"
        ))
        .await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;")
        .migration("2_b", "CREATE TABLE b (id int);", "DROP TABLE b;")
        .variable("DATABASE_URL", &owner_url);
    project.run("migrate --to 1").await.must_exit(0);
    let ended = project.variable("DATABASE_URL", &reader_url).run("rehearse --target dev").await;
    ended.must_exit(0).must_say(&format!("as role {owner_role}"));
}
