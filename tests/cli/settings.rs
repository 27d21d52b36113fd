//! What a file sets ends with the file, and takes no limit away.

use rehearsal_tests::Database;

use crate::project;

/// What a migration sees of its session, kept in a table of its own.
const SEEN: &str = "CREATE TABLE public.NAME AS SELECT current_setting('lock_timeout') AS lock_timeout, \
     current_setting('statement_timeout') AS statement_timeout, current_setting('search_path') AS search_path, \
     current_setting('standard_conforming_strings') AS strings, current_user::text AS role;\n";

pub fn seen(name: &str) -> String {
    SEEN.replace("NAME", name)
}

pub async fn told(database: &Database, name: &str) -> String {
    let columns = "concat_ws(' | ', lock_timeout, statement_timeout, search_path, strings, role)";
    database.value(&format!("SELECT {columns} FROM public.{name}")).await
}

/// The head that pg_dump writes.
const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\
     SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n\
     SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n\
     SELECT pg_catalog.set_config('search_path', '', false);\nSET check_function_bodies = false;\n\
     SET xmloption = content;\nSET client_min_messages = warning;\nSET row_security = off;\n\n";

#[tokio::test]
async fn settings_end_with_their_file() {
    for mode in ["", "-- no-transaction\n"] {
        let database = Database::create().await;
        let role = format!("other_{}", database.name());
        database.role(&role, "secret").await;
        // Only one transaction has a place for another role: the journal between the others is ours.
        let as_role = if mode.is_empty() { format!("SET ROLE {role};\n") } else { String::new() };
        let project = project()
            .migration("1_before", &seen("before"), "DROP TABLE before;")
            .migration(
                "2_sets",
                &format!(
                    "{mode}CREATE SCHEMA aside;\nSET search_path = aside;\nSET standard_conforming_strings = off;\n\
                     SET lock_timeout = 0;\nRESET statement_timeout;\n\
                     DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); END $$;\n{}\
                     CREATE TABLE found_by_search_path (id int);\n{as_role}SELECT 1;\n",
                    seen("within")
                ),
                "SET search_path = aside;\nSET lock_timeout = 0;\nDROP TABLE found_by_search_path;\nDROP TABLE public.within;\nDROP SCHEMA aside;\n",
            )
            .migration("3_after", &seen("after"), "DROP TABLE after;")
            .on(&database);
        let ended = project.run("migrate").await;
        ended.must_exit(0);
        let before = told(&database, "before").await;
        assert_eq!(told(&database, "after").await, before, "{mode}");
        // The file's own settings hold within it, but for the limits.
        let mut within: Vec<String> = before.split(" | ").map(str::to_owned).collect();
        within[2] = "aside".into();
        within[3] = "off".into();
        assert_eq!(told(&database, "within").await, within.join(" | "), "{mode}");
        assert_eq!(database.value::<i64>("SELECT count(*) FROM aside.found_by_search_path").await, 0);
        assert_eq!(database.applied().await, ["1", "2", "3"]);
        project.run("rollback --to 1").await.must_exit(0);
        assert_eq!(database.applied().await, ["1"]);
    }
}

#[tokio::test]
async fn what_pg_dump_wrote_is_a_migration() {
    let database = Database::create().await;
    let dump = format!("{DUMP}CREATE TABLE public.made (id bigint NOT NULL);\n{}", seen("within"));
    let project = project()
        .write("rehearsal.toml", "[limits]\nlock_timeout = '1s'\nstatement_timeout = '1min'\n")
        .migration("1_dump", &dump, "DROP TABLE public.made;\nDROP TABLE public.within;\n")
        .migration("2_after", "CREATE TABLE after (id int);", "DROP TABLE after;")
        .on(&database);
    let note =
        "migrations/1_dump.up.sql:5: it sets statement_timeout, which is put back at once: the limits of the run hold;";
    let instead =
        "`-- rehearsal: lock_timeout=5s` (or statement_timeout) above the first statement sets the file's own limit";
    project.run("plan").await.must_exit(0).must_say(note).must_say(instead);
    project.run("migrate").await.must_exit(0);
    assert!(told(&database, "within").await.starts_with("1s | 1min | "), "{}", told(&database, "within").await);
    assert_eq!(database.value::<String>("SELECT to_regclass('public.after')::text").await, "after");
    assert_eq!(database.applied().await, ["1", "2"]);
    // From nothing, there and back.
    project.run("rehearse").await.must_exit(0);
}

#[tokio::test]
async fn settings_are_there_again_when_a_run_is_taken_up() {
    let database = Database::create().await;
    let project = project()
        .migration(
            "1_a",
            "-- no-transaction\nCREATE SCHEMA aside;\nSET search_path = aside;\nCREATE TABLE t (id int);\n\
             CREATE INDEX CONCURRENTLY i ON t (id);\nINSERT INTO missing VALUES (1);\n",
            "DROP SCHEMA aside CASCADE;",
        )
        .on(&database);
    project.run("migrate").await.must_exit(5).must_say("relation \"missing\" does not exist");
    database.execute("CREATE TABLE aside.missing (id int)").await;
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM aside.missing").await, 1);
    assert_eq!(database.applied().await, ["1"]);
}

#[tokio::test]
async fn a_savepoint_is_the_servers_to_judge() {
    let database = Database::create().await;
    let sql = "CREATE TABLE a (id int);\nSAVEPOINT s;\nSET lock_timeout = 0;\nINSERT INTO a VALUES (1);\nROLLBACK TO SAVEPOINT s;\n\
               RELEASE s;\nINSERT INTO a VALUES (2);\n";
    let project = project().migration("1_a", sql, "DROP TABLE a;").on(&database);
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.list("SELECT id::text FROM a").await, ["2"]);
}
