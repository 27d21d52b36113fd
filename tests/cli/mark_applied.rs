//! A version that is there already is recorded as applied, and only when that is proven.

use rehearsal_tests::{Database, Project};
use rustix::process::Signal;
use sqlx::Executor;

use crate::project;

const ADD: &str = "ALTER TABLE people ADD COLUMN nick text;\nCREATE INDEX people_nick ON people (nick);\n";

/// Three versions, of which the first is applied.
async fn at_1() -> (Database, Project) {
    let database = Database::create().await;
    let project = project()
        .migration("1_people", "CREATE TABLE people (id bigint PRIMARY KEY, name text);", "DROP TABLE people;")
        .migration("2_nick", ADD, "ALTER TABLE people DROP COLUMN nick;")
        .migration("3_log", "CREATE TABLE log (n int);", "DROP TABLE log;")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    (database, project)
}

#[tokio::test]
async fn what_is_there_is_recorded_as_sqlx_would_have() {
    let (database, project) = at_1().await;
    // Somebody else's table, and an index more, are no business of this version.
    database.execute(&format!("{ADD} CREATE TABLE by_hand (n int); CREATE INDEX by_hand_too ON people (name)")).await;
    let ended = project.run("migrate").await;
    ended.must_exit(1);
    let hint = ended.error().1;
    assert!(hint.contains("`cargo xtask mark-applied 2` proves that and records it"), "{hint}");

    let ended = project.run("mark-applied 2").await;
    ended.must_exit(0).must_say("compared in 2 objects, equal").must_say("nothing of it was run");
    ended.must_say("otherwise than the files say: new: TABLE public.by_hand");
    assert_eq!(ended.steps(), ["prove done", "mark done"]);
    assert_eq!(database.applied().await, ["1", "2"]);
    assert_eq!(database.list("SELECT execution_time FROM _sqlx_migrations WHERE version = 2").await, ["-1"]);
    assert_eq!(database.advisory_locks().await, 0);
    project.run("sqlx migrate info").await.must_exit(0).must_say("2/installed nick");
    project.run("mark-applied 2").await.must_exit(0).must_say("nothing to do");
    project.run("migrate").await.must_exit(0);
    project.run("sqlx migrate run").await.must_exit(0);

    // The very row that sqlx writes for the same file, but for the time that it took.
    let sqlxs = Database::create().await;
    let other = project.start_on(&sqlxs.url(), "sqlx migrate run").end().await;
    other.must_exit(0);
    assert_eq!(database.history().await, sqlxs.history().await);
}

#[tokio::test]
async fn what_is_something_else_is_refused_and_shown() {
    let (database, project) = at_1().await;
    database.execute("ALTER TABLE people ADD COLUMN nick varchar(10) DEFAULT 'x'").await;
    let before = database.everything().await;
    let ended = project.run("mark-applied 2").await;
    ended.must_exit(3).must_say("- is what version 2 makes, + is what the target has");
    ended.must_say("TABLE public.people").must_say("- nick text").must_say("+ nick character varying(10) DEFAULT 'x'");
    ended.must_say("- INDEX public.people_nick");
    let (error, hint) = ended.error();
    assert_eq!(error, "version 2 would make something else than the target has: 2 differences, told above");
    assert!(hint.contains("mark-applied 2 --force --reason TEXT"), "{hint}");
    assert_eq!(database.everything().await, before);

    project.run("mark-applied 2 --force").await.must_exit(2).must_say("--reason");
    let ended = project.run("mark-applied 2 --force --reason agreed-with-Ann").await;
    ended.must_exit(0).must_say("1 doubt ignored, as told");
    assert_eq!(database.applied().await, ["1", "2"]);
    let kept =
        "SELECT concat_ws(' ', version, command, reason, run_id LIKE '%-mark-applied-%') FROM rehearsal.overrides";
    assert_eq!(database.list(kept).await, ["2 mark-applied agreed-with-Ann t"]);
    assert!(ended.record().to_string().contains(r#"["reason","agreed-with-Ann"]"#), "{}", ended.record());
    assert!(ended.summary().contains("reason: agreed-with-Ann"), "{}", ended.summary());
}

/// A schema does not show whether rows were written.
#[tokio::test]
async fn rows_are_proven_by_a_check_or_not_at_all() {
    let database = Database::create().await;
    let project = project()
        .migration("1_people", "CREATE TABLE people (n int);", "DROP TABLE people;")
        .migration("2_fill", "ALTER TABLE people ADD COLUMN m int;\nUPDATE people SET m = 0;\n", "SELECT 1;")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    database.execute("INSERT INTO people VALUES (1); ALTER TABLE people ADD COLUMN m int").await;
    let ended = project.run("mark-applied 2").await;
    let (error, hint) = ended.must_exit(3).error();
    assert_eq!(error, "line 2 of version 2 does what no schema shows: `UPDATE people SET m = 0`");
    assert!(hint.contains("write a check with `-- since: 2`"), "{hint}");

    let check = "-- check: filled\n-- expect: no rows\n-- since: 2\nSELECT 1 FROM people WHERE m IS NULL;\n";
    let project = project.write("migrations/checks/filled.sql", check);
    let ended = project.run("mark-applied 2").await;
    ended.must_exit(3).must_say("the checks that are written for version 2 do not hold: filled");
    assert_eq!(database.applied().await, ["1"]);
    database.execute("UPDATE people SET m = 0").await;
    project.run("mark-applied 2").await.must_exit(0).must_say("of its rows there is no proof but 1 check");
    assert_eq!(database.applied().await, ["1", "2"]);
}

/// A file that stopped half-way because its column was there is finished by the same proof.
#[tokio::test]
async fn what_stopped_half_way_is_finished() {
    let database = Database::create().await;
    let project = project()
        .items(20)
        .migration(
            "3_index",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY items_n ON items (n);\nALTER TABLE items ADD COLUMN c integer;\n",
            "-- no-transaction\nALTER TABLE items DROP COLUMN c;\nDROP INDEX CONCURRENTLY items_n;\n",
        )
        .on(&database);
    project.run("migrate --to 2").await.must_exit(0);
    database.execute("ALTER TABLE items ADD COLUMN c integer").await;
    project.run("migrate").await.must_exit(5).must_say("`cargo xtask mark-applied 3`");
    project.run("mark-applied 3").await.must_exit(0);
    assert_eq!(database.applied().await, ["1", "2", "3"]);
    project.run("migrate").await.must_exit(0).must_say("nothing to do");
    project.run("rollback --to 2").await.must_exit(0);
}

/// sqlx has stopped in a file, and all of it is there.
#[tokio::test]
async fn what_another_tool_left_unfinished_is_finished() {
    let (database, project) = at_1().await;
    project.run("migrate").await.must_exit(0);
    let history = database.history().await;
    database.execute("UPDATE _sqlx_migrations SET success = false WHERE version = 3; DROP TABLE log").await;
    let ended = project.run("migrate").await;
    assert!(ended.must_exit(3).error().1.contains("`cargo xtask mark-applied 3`"), "{}", ended.text());
    project.run("mark-applied 3").await.must_exit(3).must_say("- TABLE public.log");
    database.execute("CREATE TABLE log (n int)").await;
    project.run("mark-applied 3").await.must_exit(0);
    assert_eq!(database.history().await, history);
}

/// Names without a schema mean what the role's or the database's search_path says.
#[tokio::test]
async fn a_search_path_and_rights_are_those_of_the_target() {
    let database = Database::create().await;
    database.execute(&format!("CREATE SCHEMA shop; ALTER DATABASE {} SET search_path = shop", database.name())).await;
    let reader = format!("{}_reader", database.name());
    database.execute(&format!("CREATE ROLE {reader}")).await;
    let project = project()
        .migration("1_a", "CREATE SCHEMA IF NOT EXISTS shop; CREATE TABLE a (n int);", "DROP TABLE a;")
        .migration("2_b", &format!("CREATE TABLE b (n int);\nGRANT SELECT ON b TO {reader};\n"), "DROP TABLE b;")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    database.execute("CREATE TABLE shop.b (n int)").await;
    let ended = project.run("mark-applied 2").await;
    ended.must_exit(3).must_say("ACL shop.TABLE b");
    database.execute(&format!("GRANT SELECT ON shop.b TO {reader}")).await;
    project.run("mark-applied 2").await.must_exit(0);
    database.execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).await;
}

#[tokio::test]
async fn versions_that_it_cannot_be_told_of() {
    let (database, project) = at_1().await;
    let (error, hint) = project.run("mark-applied 9").await.must_exit(2).error();
    assert!(error.contains("there is no version 9 in the migrations folder"), "{error}");
    assert!(hint.contains("status"), "{hint}");
    let (error, hint) = project.run("mark-applied 3").await.must_exit(3).error();
    assert_eq!(error, "version 2 is pending before version 3");
    assert!(hint.contains("mark-applied 2"), "{hint}");
    project.run("mark-applied 1").await.must_exit(0).must_say("nothing to do");
    project.change("migrations/1_people.up.sql", "CREATE TABLE people ();");
    project.run("mark-applied 2").await.must_exit(3).must_say("was edited after it was applied");
    let ended = project.start_on("postgres://nobody@127.0.0.1:1/none", "mark-applied 2").end().await;
    ended.must_exit(4);
    assert_eq!(database.applied().await, ["1"]);
}

/// Where the files do not run from the beginning there is nothing to compare with.
#[tokio::test]
async fn files_that_do_not_run_on_an_empty_database_prove_nothing() {
    let database = Database::create().await;
    database.execute("CREATE TABLE by_hand (n int)").await;
    let project = project()
        .migration("1_a", "ALTER TABLE by_hand ADD COLUMN m int;", "SELECT 1;")
        .migration("2_b", "CREATE TABLE b (n int);", "DROP TABLE b;")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    database.execute("CREATE TABLE b (n int)").await;
    let ended = project.run("mark-applied 2").await;
    ended.must_exit(3).must_say("the migrations do not run on an empty database").must_say("by_hand");
    let ended = project.run("mark-applied 2 --force --reason known").await;
    ended.must_exit(0).must_say("nothing was compared");
    assert_eq!(database.applied().await, ["1", "2"]);
}

#[tokio::test]
async fn a_protected_target_asks() {
    let (database, project) = at_1().await;
    database.execute(ADD).await;
    let project = project
        .write("rehearsal.toml", "[targets.production]\nprotected = true\n")
        .variable("PRODUCTION_DATABASE_URL", &database.url());
    let ended = project.run("mark-applied 2 --target production").await;
    ended.must_exit(3);
    assert!(ended.error().1.contains("--yes"), "{}", ended.text());
    project.run("mark-applied 2 --target production --yes").await.must_exit(0);
    assert_eq!(database.applied().await, ["1", "2"]);
}

#[tokio::test]
async fn another_run_at_work_is_not_disturbed_and_an_interruption_leaves_nothing() {
    let (database, project) = at_1().await;
    database.execute(ADD).await;
    let mut holder = database.connect().await;
    holder.execute("SELECT pg_advisory_lock(x'7265686561727361'::bigint)").await.expect("the lock");
    let mut running = project.start("mark-applied 2");
    running.has_written("✓ prove").await;
    running.signal(Signal::INT);
    running.end().await.must_exit(130);
    assert_eq!(database.applied().await, ["1"]);

    let project = project.write("rehearsal.toml", "[limits]\nrun_lock_patience = '300ms'\n");
    let ended = project.run("mark-applied 2").await;
    ended.must_exit(4).must_say("another run is at work on dev");
    assert_eq!(database.applied().await, ["1"]);
    drop(holder);
    project.run("mark-applied 2").await.must_exit(0);
}
