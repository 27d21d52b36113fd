//! `migrate`, `status`, `plan`, `verify`, `rollback` on a target, and sqlx's own tools on the same one.

use insta::assert_snapshot;
use rehearsal_tests::{Database, Project, words};
use serde_json::Value;

use crate::{project, this_workspace};

/// What sqlx-cli says of every version: `1/installed baseline`.
async fn info(project: &Project) -> Vec<String> {
    let ended = project.run("sqlx migrate info").await;
    ended.must_exit(0);
    ended.stdout.lines().map(str::to_owned).collect()
}

/// The same, as our `status` says it.
async fn status(project: &Project) -> Vec<String> {
    let ended = project.run("status --json").await;
    ended.must_exit(0);
    let lines: Vec<Value> = serde_json::from_str(&ended.stdout).expect("status --json is JSON");
    lines
        .iter()
        .map(|line| {
            let state = match line["state"].as_str() {
                Some("applied") => "installed",
                Some(other) => other,
                None => "?",
            };
            format!("{}/{state} {}", line["version"], line["description"].as_str().unwrap_or("?"))
        })
        .collect()
}

#[tokio::test]
async fn every_command_leaves_what_sqlx_agrees_with() {
    let database = Database::create().await;
    let project = this_workspace().on(&database);
    for (words, versions) in [
        ("migrate --to 1", 1),
        ("migrate --to 3", 3),
        ("verify", 3),
        ("migrate", 6),
        ("verify", 6),
        ("rollback --to 3", 3),
        ("rollback --steps 1", 2),
        ("migrate --to 4", 4),
        ("rollback", 1),
        ("rollback --to 0", 0),
        ("migrate", 6),
    ] {
        project.run(words).await.must_exit(0);
        let info = info(&project).await;
        assert_eq!(info, status(&project).await, "after {words}");
        let installed = info.iter().filter(|line| line.contains("/installed ")).count();
        assert_eq!(installed, versions, "after {words}: {info:?}");
        assert!(!info.iter().any(|line| line.contains("different checksum")), "after {words}: {info:?}");
    }
    let users: bool = database.value("SELECT to_regclass('users') IS NOT NULL").await;
    assert!(users, "the release is applied");
}

#[tokio::test]
async fn the_history_is_the_one_that_sqlx_writes() {
    let (ours, theirs) = (Database::create().await, Database::create().await);
    this_workspace().on(&ours).run("migrate").await.must_exit(0);
    this_workspace().on(&theirs).run("sqlx migrate run").await.must_exit(0);
    assert_eq!(ours.history().await, theirs.history().await);
    assert_eq!(ours.history().await.len(), 6);
    let table = "SELECT concat_ws(' ', attnum, attname, format_type(atttypid, atttypmod), attnotnull, \
                 pg_get_expr(adbin, adrelid)) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
                 WHERE attrelid = '_sqlx_migrations'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(ours.list(table).await, theirs.list(table).await);
    // A time that is still -1 means to sqlx that the file is not done.
    let times: i64 = ours.value("SELECT count(*) FROM _sqlx_migrations WHERE execution_time <= 0").await;
    assert_eq!(times, 0);
    // And the same schema but for our journal.
    let columns = "SELECT concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull) \
                   FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace \
                   AND attnum > 0 AND NOT attisdropped ORDER BY 1";
    assert_eq!(ours.list(columns).await, theirs.list(columns).await);
}

#[tokio::test]
async fn sqlx_goes_on_where_we_stopped_and_the_other_way_round() {
    let database = Database::create().await;
    let project = this_workspace().on(&database);
    project.run("migrate --to 3").await.must_exit(0);
    project.run("sqlx migrate run --target-version 5").await.must_exit(0);
    project.run("migrate").await.must_exit(0).must_say("1 migration applied, now at version 6");
    project.run("sqlx migrate revert --target-version 4").await.must_exit(0);
    project.run("rollback --to 2").await.must_exit(0).must_say("2 migrations undone, now at version 2");
    project.run("sqlx migrate run").await.must_exit(0);
    project.run("migrate").await.must_exit(0).must_say("nothing to do, at version 6");
    project.run("verify").await.must_exit(0);
    project.run("rollback").await.must_exit(0);
    project.run("sqlx migrate run").await.must_exit(0);
    project.run("sqlx migrate revert --target-version 0").await.must_exit(0);
    project.run("migrate").await.must_exit(0).must_say("6 migrations applied, now at version 6");
}

/// A database in which nobody can write anything.
async fn sealed(database: &Database) {
    database.execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name())).await;
}

#[tokio::test]
async fn looking_never_writes() {
    let database = Database::create().await;
    let project = this_workspace().on(&database);
    sealed(&database).await;
    let empty = database.everything().await;
    for words in ["status", "status --json", "plan", "plan --json", "plan --to 3", "verify"] {
        let ended = project.run(words).await;
        ended.must_exit(0);
    }
    assert_eq!(database.everything().await, empty);
    assert!(database.value::<bool>("SELECT to_regclass('_sqlx_migrations') IS NULL").await);
    database.execute(&format!("ALTER DATABASE {} RESET default_transaction_read_only", database.name())).await;
    project.run("migrate --to 4").await.must_exit(0);
    sealed(&database).await;
    let half = database.everything().await;
    for words in ["status", "plan", "verify", "migrate --to 4"] {
        project.run(words).await.must_exit(0);
    }
    assert_eq!(database.everything().await, half);
}

#[tokio::test]
async fn status_and_plan_in_words() {
    let database = Database::create().await;
    let project = this_workspace().on(&database);
    project.run("migrate --to 2").await.must_exit(0);
    let (status, plan) = (project.run("status").await, project.run("plan --to 4").await);
    let part = project.run("migrate --to 2").await;
    insta::with_settings!({filters => words::filters()}, {
        assert_snapshot!("status", status.stdout);
        assert_snapshot!("plan", plan.stdout);
        assert_snapshot!("nothing_to_do", part.stdout);
    });
    let plan: Value = serde_json::from_str(&project.run("plan --json").await.stdout).expect("JSON");
    let files = plan["files"].as_array().expect("files");
    let statements: Vec<&Value> =
        files.iter().flat_map(|file| file["statements"].as_array().expect("statements")).collect();
    let classes: Vec<&str> = statements.iter().filter_map(|statement| statement["class"].as_str()).collect();
    assert_eq!(classes[..3], ["batched", "transactional", "non-transactional"]);
    assert_eq!(files[0]["path"], "migrations/0003_backfill_onboarding_completed.up.sql");
    assert_eq!(statements[0]["line"], 6);
}

#[tokio::test]
async fn a_release_on_a_target_in_words() {
    let database = Database::create().await;
    let project = this_workspace().on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    database
        .execute(
            "INSERT INTO users (email, hashed_password) SELECT g || '@example.com', '!' FROM generate_series(1, 50) g",
        )
        .await;
    let migrate = project.run("migrate").await;
    let verify = project.run("verify").await;
    let rollback = project.run("rollback").await;
    for ended in [&migrate, &verify, &rollback] {
        ended.must_exit(0);
    }
    insta::with_settings!({filters => words::filters()}, {
        assert_snapshot!("release_migrate", migrate.stdout);
        assert_snapshot!("release_verify", verify.stdout);
        assert_snapshot!("release_rollback", format!("{}{}", rollback.stderr, rollback.stdout));
    });
    let quiet = project.run("migrate --quiet").await;
    quiet.must_exit(0);
    insta::with_settings!({filters => words::filters()}, { assert_snapshot!("release_quiet", quiet.text()) });
}

#[tokio::test]
async fn help_in_words() {
    let project = project();
    let help = project.run("--help").await;
    help.must_exit(0);
    let rehearse = project.run("rehearse --help").await;
    insta::with_settings!({filters => words::filters()}, {
        assert_snapshot!("help", help.stdout);
        assert_snapshot!("help_rehearse", rehearse.stdout);
    });
    project.run("migrate --no-such-flag").await.must_exit(2);
    project.run("").await.must_exit(2);
}

#[tokio::test]
async fn a_rollback_makes_a_backup_before_it_undoes() {
    let database = Database::create().await;
    let project = project().items(100).on(&database);
    project.run("migrate").await.must_exit(0);
    let ended = project.run("rollback --to 0").await;
    ended.must_exit(0);
    assert_eq!(ended.steps(), ["backup done", "rollback done"]);
    assert!(database.value::<bool>("SELECT to_regclass('items') IS NULL").await);
    let restored = format!("{}_back", database.name());
    project.run(&format!("restore --into {restored}")).await.must_exit(0);
    let found: i64 = rehearsal_tests::database::of(&restored).value("SELECT sum(n) FROM items").await;
    assert_eq!(found, 1_000);
}

#[tokio::test]
async fn a_protected_target_asks_before_anything_is_undone() {
    let database = Database::create().await;
    let project = project()
        .items(10)
        .write("rehearsal.toml", "[targets.production]\nprotected = true\n")
        .variable("PRODUCTION_DATABASE_URL", &database.url());
    project.run("migrate --target production").await.must_exit(0);
    let before = database.everything().await;
    let ended = project.run("rollback --target production --to 1").await;
    ended.must_exit(3);
    assert!(ended.error().1.contains("--yes"), "{}", ended.text());
    assert_eq!(database.everything().await, before);
    assert!(!project.path("backups").exists());
    project.run("rollback --target production --to 1 --yes").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
}

#[tokio::test]
async fn files_that_are_one_transaction_apply_all_or_nothing() {
    let database = Database::create().await;
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);\nCREATE TABLE b (id int);\nSELECT 1 / 0;\n", "DROP TABLE a, b;")
        .on(&database);
    let before = database.everything().await;
    project.run("migrate").await.must_exit(1);
    let after = database.everything().await;
    assert_eq!(before.len() + 2, after.len(), "only sqlx's history table and its key are new: {after:?}");
    assert_eq!(database.history().await, [""; 0]);
    project.change("migrations/1_a.up.sql", "CREATE TABLE a (id int);\nCREATE TABLE b (id int);\n");
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
}
