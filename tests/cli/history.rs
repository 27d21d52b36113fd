//! Histories that are not tidy: versions that come late, files that are gone or alone, migrations that
//! change the history itself.

use insta::assert_snapshot;
use rehearsal_tests::{Database, Project, words};
use serde_json::Value;

use crate::project;

const DEV: &str = "[targets.dev]\nurl_env = 'DATABASE_URL'\n";

fn table(project: Project, version: i64) -> Project {
    let (up, down) = (format!("CREATE TABLE t{version} (id int);"), format!("DROP TABLE t{version};"));
    project.migration(&format!("{version}_t{version}"), &up, &down)
}

/// 1 and 5 are applied, and 4 came into the folder after that.
async fn one_late() -> (Database, Project) {
    let database = Database::create().await;
    let project = table(table(project(), 1), 5).on(&database);
    project.run("migrate").await.must_exit(0);
    (database, table(project, 4))
}

async fn status(project: &Project) -> String {
    let ended = project.run("status").await;
    ended.must_exit(0);
    ended.stdout
}

macro_rules! assert_words {
    ($name:expr, $text:expr) => {
        // It may have to be waited for, which the closure in there could not.
        let text = $text;
        insta::with_settings!({filters => words::filters()}, { assert_snapshot!($name, text) })
    };
}

#[tokio::test]
async fn what_comes_late_is_refused_until_it_is_let() {
    let (database, project) = one_late().await;
    let before = database.everything().await;
    for words in ["migrate", "plan", "rehearse --target dev"] {
        let (error, hint) = project.run(words).await.must_exit(3).error();
        assert!(error.contains("it would run out of order"), "{words}: {error}");
        assert!(hint.contains("a number after 5") && hint.contains("`out_of_order = [4]` under [history]"), "{hint}");
    }
    assert_words!("status_out_of_order", status(&project).await);
    let lines: Vec<Value> = serde_json::from_str(&project.run("status --json").await.stdout).expect("JSON");
    assert_eq!(lines[1]["state"], "out of order");
    assert!(lines[1]["next"].as_str().is_some_and(|next| next.contains("out_of_order")), "{lines:?}");
    // Another version, or this one on another target only.
    for config in ["[history]\nout_of_order = [3]\n", "[targets.other]\nout_of_order = 'allow'\n"] {
        project.change("rehearsal.toml", &format!("{DEV}{config}"));
        project.run("migrate").await.must_exit(3);
    }
    project.change("rehearsal.toml", &format!("{DEV}out_of_order = 'refuse'\n[history]\nout_of_order = 'allow'\n"));
    project.run("migrate").await.must_exit(3);
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn what_is_let_is_rehearsed_applied_and_undone_in_the_order_in_which_it_came() {
    for config in [
        "[history]\nout_of_order = [4]\n",
        "[history]\nout_of_order = 'allow'\n",
        "out_of_order = 'allow'\n",
        // The release of the latest version is not what came last.
        "[history]\nout_of_order = [4]\n[[releases]]\nname = 'R1'\nafter = 0\nto = 4\n\
         [[releases]]\nname = 'R2'\nafter = 4\nto = 5\n",
    ] {
        let (database, project) = one_late().await;
        project.change("rehearsal.toml", &format!("{DEV}{config}"));
        let before = database.everything().await;
        project.run("plan").await.must_exit(0).must_say("version 4 comes late: 5 is applied already");
        assert!(status(&project).await.contains("t4  (comes late, as rehearsal.toml lets it)"));
        let rehearsal = project.run("rehearse --target dev").await;
        rehearsal.must_exit(0).must_say("1 migration applied, now at version 5").must_say("1 migration undone");
        assert!(rehearsal.steps().contains(&"as-before done".to_owned()), "{:?}", rehearsal.steps());
        assert_eq!(database.everything().await, before, "the target is only read");

        project.run("migrate").await.must_exit(0).must_say("1 migration applied");
        assert_eq!(database.applied().await, ["1", "4", "5"]);
        project.run("sqlx migrate run --target dev").await.must_exit(0);
        project.run("verify").await.must_exit(0);
        // Bare, it goes alone.
        project.run("rollback").await.must_exit(0).must_say("1 migration undone");
        assert_eq!(database.applied().await, ["1", "5"], "{config}");
        project.run("migrate").await.must_exit(0);
        project.run("rollback --steps 2").await.must_exit(0).must_say("2 migrations undone, now at version 1");
        let table = project.run("migrate").await;
        table.must_exit(0).must_say("2 migrations applied, now at version 5");
        // In the usual order by now.
        project.run("rollback --steps 1").await.must_exit(0);
        assert_eq!(database.applied().await, ["1", "4"]);
    }
}

#[tokio::test]
async fn a_file_that_is_gone_for_good() {
    let database = Database::create().await;
    let project = table(table(project(), 1), 2).on(&database);
    project.run("migrate").await.must_exit(0);
    project.remove("migrations/2_t2.up.sql");
    project.remove("migrations/2_t2.down.sql");
    let (_, hint) = project.run("migrate").await.must_exit(3).error();
    assert!(hint.contains("`missing_files = [2]` under [history]"), "{hint}");
    assert_words!("status_no_file", status(&project).await);
    project.change("rehearsal.toml", &format!("{DEV}[history]\nmissing_files = [2]\n"));
    let project = table(project, 3);
    assert_words!("status_gone_for_good", status(&project).await);
    project.run("repair").await.must_exit(0).must_say("history and files agree");
    for words in ["plan", "rehearse --target dev", "migrate", "verify", "rollback --steps 1", "migrate"] {
        project.run(words).await.must_exit(0);
    }
    let before = database.everything().await;
    let (error, hint) = project.run("rollback --to 1").await.must_exit(3).error();
    assert!(error.contains("version 2 has no files"), "{error}");
    assert!(hint.contains("cargo xtask rollback --way restore"), "{hint}");
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn a_migration_that_changes_the_history_itself() {
    for (sql, left) in [
        ("DELETE FROM _sqlx_migrations WHERE version < 3;", &["3"][..]),
        ("TRUNCATE _sqlx_migrations;", &["3"]),
        ("DO $$ BEGIN DELETE FROM public._sqlx_migrations WHERE version = 1; END $$;", &["2", "3"]),
        ("UPDATE _sqlx_migrations SET success = false WHERE version = 2;", &["1", "3"]),
        ("ALTER TABLE _sqlx_migrations ADD COLUMN who text DEFAULT 'me';", &["1", "2", "3"]),
    ] {
        let database = Database::create().await;
        let project = table(table(project(), 1), 2).on(&database);
        project.run("migrate").await.must_exit(0);
        let project = project.migration("3_squash", &format!("\n{sql}\n"), "SELECT 1;");
        let said = "migrations/3_squash.up.sql:2: it changes _sqlx_migrations itself";
        project.run("plan").await.must_exit(0).must_say(said);
        project.run("migrate").await.must_exit(0).must_say(said);
        assert_eq!(database.applied().await, left, "{sql}");
        // Whatever is left, every command knows what it is.
        let status = status(&project).await;
        let migrate = project.run("migrate").await;
        if left.len() == 3 {
            migrate.must_exit(0).must_say("nothing to do");
        } else {
            assert!(status.contains("out of order: ") || status.contains("unfinished: "), "{sql}: {status}");
            let _ = migrate.must_exit(3).error();
        }
    }
    // A squash to its end: the files of what was forgotten go as well.
    let database = Database::create().await;
    let project = table(project(), 1).on(&database);
    project.run("migrate").await.must_exit(0);
    let project = project.migration("2_squash", "DELETE FROM _sqlx_migrations WHERE version < 2;", "SELECT 1;");
    project.run("migrate").await.must_exit(0);
    project.remove("migrations/1_t1.up.sql");
    project.remove("migrations/1_t1.down.sql");
    for words in ["migrate", "verify", "sqlx migrate run --target dev"] {
        project.run(words).await.must_exit(0);
    }
}

#[tokio::test]
async fn a_migration_that_would_leave_no_history() {
    for (sql, says) in [
        ("DROP TABLE _sqlx_migrations;", "it takes _sqlx_migrations away"),
        ("ALTER TABLE \"_sqlx_migrations\" RENAME TO old;", "it takes _sqlx_migrations away"),
        ("-- no-transaction\nDELETE FROM _sqlx_migrations;", "while the file's own row"),
    ] {
        let database = Database::create().await;
        let project = table(project(), 1).on(&database);
        project.run("migrate").await.must_exit(0);
        let before = database.everything().await;
        let project = project.migration("2_b", sql, "SELECT 1;");
        for words in ["plan", "migrate"] {
            let (error, _) = project.run(words).await.must_exit(2).error();
            assert!(error.starts_with("migrations/2_b.up.sql:") && error.contains(says), "{error}");
        }
        assert_eq!(database.everything().await, before);
    }
    // Its own row is there before it is recorded: nothing of it stays.
    let database = Database::create().await;
    let own = "INSERT INTO _sqlx_migrations VALUES (2, 'b', now(), true, '\\x00', 1);";
    let project = table(project(), 1).migration("2_b", own, "SELECT 1;").on(&database);
    project.run("migrate").await.must_exit(1);
    assert_eq!(database.applied().await, ["1"]);
    project.run("status").await.must_exit(0);
    // On the way back as well.
    let project = table(project, 2).migration("2_b", "SELECT 2;", "DELETE FROM _sqlx_migrations WHERE version = 2;");
    project.remove("migrations/2_t2.up.sql");
    project.remove("migrations/2_t2.down.sql");
    project.run("migrate").await.must_exit(0);
    project.run("rollback --steps 1").await.must_exit(1).must_say("taken away");
    assert_eq!(database.applied().await, ["1", "2"]);
}

#[tokio::test]
async fn versions_of_any_width_and_names_of_any_kind() {
    let database = Database::create().await;
    let project = table(project(), 1)
        .migration("0002_größe und mehr", "CREATE TABLE b (id int);", "DROP TABLE b;")
        .write("migrations/20240101120000_alone.sql", "CREATE TABLE c (id int);")
        .migration("9223372036854775807_last", "CREATE TABLE d (id int);", "DROP TABLE d;")
        .write("migrations/notes.sql", "nothing")
        .write("migrations/1_t1.up.sql~", "nothing")
        .write("migrations/.2_b.up.sql.swp", "nothing")
        .on(&database);
    assert_words!("status_odd_versions", status(&project).await);
    project.run("migrate").await.must_exit(0).must_say("4 migrations applied, now at version 9223372036854775807");
    project.run("sqlx migrate run --target dev").await.must_exit(0);
    project.run("rollback --steps 1").await.must_exit(0);
    let (error, hint) = project.run("rollback --steps 1").await.must_exit(3).error();
    assert!(error.contains("version 20240101120000 has no down file"), "{error}");
    assert!(hint.contains("cargo xtask rollback --way restore"), "{hint}");
    for (name, says) in [
        ("9223372036854775808_e.sql", "9223372036854775808_e.sql"),
        ("foo_bar.sql", "foo_bar.sql"),
        ("01_again.sql", "version 1 has two files"),
    ] {
        let path = format!("migrations/{name}");
        project.change(&path, "SELECT 1;");
        let (error, _) = project.run("migrate").await.must_exit(2).error();
        assert!(error.contains(says), "{error}");
        project.remove(&path);
    }
}
