//! An applied file that was edited is recorded as it is now, and nothing else is written.

use rehearsal_tests::{Database, Project};
use rustix::process::Signal;
use sqlx::Executor;

use crate::project;

/// Two versions are applied; the first one's file is edited after that.
async fn edited() -> (Database, Project) {
    let database = Database::create().await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (n int);", "DROP TABLE a;")
        .migration("2_b", "CREATE TABLE b (n int);", "DROP TABLE b;")
        .on(&database);
    project.run("migrate").await.must_exit(0);
    project.change("migrations/1_a.up.sql", "-- what it is for\nCREATE TABLE a (n int);");
    (database, project)
}

async fn checksums(database: &Database) -> Vec<String> {
    database.list("SELECT encode(checksum, 'hex') FROM _sqlx_migrations ORDER BY version").await
}

#[tokio::test]
async fn an_edited_file_is_shown_and_then_recorded() {
    let (database, project) = edited().await;
    let before = checksums(&database).await;
    let ended = project.run("migrate").await;
    assert!(ended.must_exit(3).error().1.contains("`cargo xtask repair 1 --reason TEXT`"), "{}", ended.text());
    let ended = project.run("repair").await;
    ended.must_exit(0).must_say("1  a: its file was edited after it was applied");
    project.run("repair 1").await.must_exit(2).must_say("--reason");
    assert_eq!(checksums(&database).await, before, "nothing is written unless it is named");

    let ended = project.run("repair 1 --reason comment").await;
    ended.must_exit(0).must_say("version 1 is recorded as its file is now").must_say("was not looked at");
    let after = checksums(&database).await;
    assert!(after[0] != before[0] && after[1] == before[1], "{after:?}");
    let kept = "SELECT concat_ws(' ', version, command, reason) FROM rehearsal.overrides";
    assert_eq!(database.list(kept).await, ["1 repair comment"]);
    for said in [&before[0], &after[0], "comment"] {
        assert!(ended.record().to_string().contains(said), "{}", ended.record());
    }
    assert_eq!(database.advisory_locks().await, 0);
    project.run("sqlx migrate run").await.must_exit(0);
    project.run("migrate").await.must_exit(0);
    project.run("repair").await.must_exit(0).must_say("history and files agree");
    project.run("repair 1 --reason again").await.must_exit(0).must_say("nothing to do");
    assert_eq!(database.list(kept).await.len(), 1);
}

#[tokio::test]
async fn line_ends_need_no_repair() {
    let (database, project) = edited().await;
    project.change("migrations/1_a.up.sql", "CREATE TABLE a (n int);");
    project.change("migrations/2_b.up.sql", "CREATE TABLE b (n int);");
    project.run("repair").await.must_exit(0).must_say("history and files agree");
    let project = project.migration("3_c", "CREATE TABLE c (n int);\n", "DROP TABLE c;");
    project.run("migrate").await.must_exit(0);
    project.change("migrations/3_c.up.sql", "CREATE TABLE c (n int);\r\n");
    let before = checksums(&database).await;
    project.run("repair 3 --reason none").await.must_exit(0).must_say("nothing to do");
    assert_eq!(checksums(&database).await, before);
}

/// What a checksum does not put right is told, by what does.
#[tokio::test]
async fn what_it_does_not_put_right() {
    let (database, project) = edited().await;
    let before = checksums(&database).await;
    let (error, _) = project.run("repair 9 --reason x").await.must_exit(2).error();
    assert!(error.contains("there is no version 9 among the applied ones"), "{error}");

    project.remove("migrations/2_b.up.sql");
    project.remove("migrations/2_b.down.sql");
    project.run("repair").await.must_exit(0).must_say("2  b: applied, and without a file");
    let (error, hint) = project.run("repair 2 --reason x").await.must_exit(3).error();
    assert!(error.contains("has no file for it") && hint.contains("check out the commit"), "{error} {hint}");

    // sqlx has stopped in it.
    database.execute("UPDATE _sqlx_migrations SET success = false WHERE version = 2").await;
    project.run("repair").await.must_exit(0).must_say("another tool stopped in it");
    let (error, hint) = project.run("repair 2 --reason x").await.must_exit(3).error();
    assert!(error.contains("recorded as not finished") && hint.contains("_sqlx_migrations"), "{error} {hint}");
    assert_eq!(checksums(&database).await, before);
    let ended = project.start_on("postgres://nobody@127.0.0.1:1/none", "repair 1 --reason x").end().await;
    ended.must_exit(4);
}

#[tokio::test]
async fn what_our_own_run_left_is_resumed_and_not_repaired() {
    let database = Database::create().await;
    let project = project()
        .items(20)
        .migration("4_d", "-- no-transaction\nVACUUM items;\nSELECT 1 / 0;\n", "SELECT 1;")
        .on(&database);
    project.run("migrate").await.must_exit(5);
    let (error, hint) = project.run("repair 4 --reason x").await.must_exit(3).error();
    assert!(error.contains("version 4 stopped half-way"), "{error}");
    assert!(hint.contains("goes on where it stopped"), "{hint}");
}

#[tokio::test]
async fn a_protected_target_asks() {
    let (database, project) = edited().await;
    let project = project
        .write("rehearsal.toml", "[targets.production]\nprotected = true\n")
        .variable("PRODUCTION_DATABASE_URL", &database.url());
    let before = checksums(&database).await;
    let ended = project.run("repair 1 --reason x --target production").await;
    ended.must_exit(3);
    assert!(ended.error().1.contains("--yes"), "{}", ended.text());
    assert_eq!(checksums(&database).await, before);
    project.run("repair 1 --reason x --target production --yes").await.must_exit(0);
}

#[tokio::test]
async fn another_run_at_work_is_not_disturbed_and_an_interruption_leaves_nothing() {
    let (database, project) = edited().await;
    let before = checksums(&database).await;
    let mut holder = database.connect().await;
    holder.execute("SELECT pg_advisory_lock(x'7265686561727361'::bigint)").await.expect("the lock");
    let mut running = project.start("repair 1 --reason x --json");
    running.has_written("\"event\":\"connected\"").await;
    running.signal(Signal::INT);
    running.end().await.must_exit(130);
    let project = project.write("rehearsal.toml", "[limits]\nrun_lock_patience = '300ms'\n");
    project.run("repair 1 --reason x").await.must_exit(4).must_say("another run is at work on dev");
    assert_eq!(checksums(&database).await, before);
    drop(holder);
    project.run("repair 1 --reason x").await.must_exit(0);
}
