//! What stands in a database URL, or beside it in the environment, and where it leads to.

use rehearsal_tests::{Database, Project};

use crate::project;

fn with(url: &str, parameters: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{parameters}")
}

fn one_table() -> Project {
    project().migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n")
}

/// A tenant of a schema each: a setting that got lost would migrate somebody else's.
#[tokio::test]
async fn settings_of_the_url_reach_sessions_programs_and_the_copy() {
    for spelling in
        ["options=-c%20search_path%3Dtenant1", "options=--search-path%3Dtenant1", "options[search_path]=tenant1"]
    {
        let database = Database::create().await;
        database.execute("CREATE SCHEMA tenant1").await;
        // Divides by zero in any other schema, so that the copy cannot be one either.
        let up = "CREATE TABLE a AS SELECT 1 / (current_schema() = 'tenant1')::int AS id;\n";
        let project = project().migration("1_a", up, "DROP TABLE a;\n");
        let project = project.variable("DATABASE_URL", &with(&database.url(), spelling));
        let rehearsal = project.run("rehearse --target dev").await;
        rehearsal.must_exit(0);
        project.run("migrate").await.must_exit(0);
        let places = "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = 'a'";
        assert_eq!(database.list(places).await, ["tenant1"], "{spelling}");
    }
}

/// The role that may read is one that has to be taken on: pg_dump must take it on as well.
#[tokio::test]
async fn pg_dump_begins_with_the_settings_of_the_url() {
    let database = Database::create().await;
    let (login, reader) = (format!("login_{}", database.name()), format!("noinherit_{}", database.name()));
    let url = database.role(&login, "secret").await;
    database
        .execute(&format!(
            "CREATE TABLE a (id int); CREATE ROLE {reader}; GRANT pg_read_all_data TO {reader}; \
             ALTER ROLE {login} NOINHERIT; GRANT {reader} TO {login}"
        ))
        .await;
    let project = one_table();
    let project = project.variable("DATABASE_URL", &with(&url, &format!("options=-c%20role%3D{reader}")));
    project.run("db-backup").await.must_exit(0);
}

#[tokio::test]
async fn known_parameters_are_taken_and_unknown_ones_refused() {
    let database = Database::create().await;
    let harmless = "statement-cache-capacity=10&ssl-mode=disable&connect_timeout=7&keepalives_idle=30&\
                    gssencmode=disable&target_session_attrs=any&sslcompression=0&application_name=mine";
    let project = one_table().variable("DATABASE_URL", &with(&database.url(), harmless));
    project.run("migrate").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    let before = database.everything().await;
    for parameter in
        ["schema=hunter2", "service=hunter2", "sslpassword=hunter2", "options=-d%20hunter2", "ssl-mode=hunter2"]
    {
        let project = one_table().variable("DATABASE_URL", &with(&database.url(), parameter));
        let ended = project.run("rollback --to 0").await;
        ended.must_exit(2);
        let key = parameter.split('=').next().expect("a key").replace("ssl-mode", "sslmode");
        assert!(ended.error().0.contains(&key), "{}", ended.text());
        assert!(!ended.text().contains("hunter2"), "{}", ended.text());
    }
    assert_eq!(database.everything().await, before);
}

/// What a shell that is used for psql has set: none of it may lead a child program elsewhere.
#[tokio::test]
async fn variables_of_libpq_do_not_redirect_child_programs() {
    let database = Database::create().await;
    let project = one_table().on(&database);
    project.run("migrate").await.must_exit(0);
    let project = [
        ("PGHOSTADDR", "127.0.0.1"),
        ("PGSERVICE", "elsewhere"),
        ("PGSERVICEFILE", "/nowhere"),
        ("PGDATABASE", "elsewhere"),
        ("PGTARGETSESSIONATTRS", "read-only"),
        // A server's programs read these as well, and do not start with a style that there is not.
        ("PGDATESTYLE", "nonsense"),
        ("PGTZ", "Nowhere/Nothing"),
    ]
    .iter()
    .fold(project, |project, (name, value)| project.variable(name, value));
    project.run("db-backup").await.must_exit(0);
    // The target of this test is a throwaway server as well, but named in a URL: what it says of TLS
    // and passwords goes for it, and for nothing that we start ourselves.
    let project = project.variable("PGREQUIREAUTH", "none").variable("PGPASSFILE", "/nowhere");
    project.run("rehearse").await.must_exit(0);
}

/// A target that is named for good (`REHEARSAL_TARGET`) has no say in what only writes files.
#[tokio::test]
async fn sqlx_writes_new_migrations_whatever_target_is_named() {
    let project = one_table()
        .write("Cargo.toml", "[package]\nname = 'a'\n")
        .variable("REHEARSAL_TARGET", "dev")
        .variable("DATABASE_URL", "postgres://me@localhost/db");
    project.run("sqlx migrate add -r another").await.must_exit(0);
    assert!(project.names_in("migrations").iter().any(|name| name.ends_with("_another.down.sql")));
    project.run("sqlx --no-dotenv migrate build-script").await.must_exit(0);
    assert!(project.path("build.rs").is_file());
}
