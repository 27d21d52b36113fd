//! Limits that PostgreSQL would take for none.

use rehearsal_tests::Database;

use crate::project;

#[tokio::test]
async fn a_limit_that_would_be_none_is_refused() {
    let database = Database::create().await;
    let project = project().items(10).on(&database);
    let before = database.everything().await;
    for line in [
        "batch_rows = 0",
        "batch_time = '0s'",
        "lock_tries = 0",
        "lock_timeout = '0s'",
        "lock_timeout_most = '0s'",
        "statement_timeout = '0s'",
        "statement_timeout = '999us'",
        "concurrently_timeout = '0s'",
        "check_timeout = '0s'",
        "check_timeout = '100years'",
        "replication_lag = '0s'",
    ] {
        project.change("rehearsal.toml", &format!("[limits]\n{line}\n"));
        let ended = project.run("migrate").await;
        ended.must_exit(2);
        let field = line.split(' ').next().expect("a field");
        assert!(
            ended.error().0.contains(&format!("rehearsal.toml: limits.{field} must be at least 1")),
            "{}",
            ended.text()
        );
    }
    assert_eq!(database.everything().await, before);
}

/// What a migration sees of its limits, kept in a table of its own.
fn seen(name: &str) -> String {
    format!(
        "CREATE TABLE {name} AS SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout') AS seen;\n"
    )
}

#[tokio::test]
async fn a_file_sets_limits_of_its_own() {
    let database = Database::create().await;
    let head = "-- rehearsal: lock_timeout=5s, statement_timeout = 1h 30min\n";
    let project = project()
        .write("rehearsal.toml", "[limits]\nlock_timeout = '1s'\nstatement_timeout = '1min'\n")
        .migration("1_a", &format!("{head}{}", seen("a")), "DROP TABLE a;")
        .migration("2_b", &seen("b"), &format!("-- rehearsal: lock_timeout=9s\nDROP TABLE b;\n{}", seen("b_down")))
        // As editors of another system write it.
        .migration("3_c", &format!("\u{feff}{}", format!("{head}{}", seen("c")).replace('\n', "\r\n")), "DROP TABLE c;")
        .migration("4_d", &format!("-- no-transaction\n{head}{}", seen("d")), "DROP TABLE d;")
        .on(&database);
    let plan = project.run("plan").await;
    plan.must_exit(0).must_say("limits of its own: lock_timeout=5s, statement_timeout=1h 30m");
    plan.must_say("migrations/3_c.up.sql:1: a byte order mark");
    assert_eq!(plan.text().matches("limits of its own").count(), 3, "{}", plan.text());
    project.run("migrate").await.must_exit(0);
    for (table, limits) in [("a", "5s 90min"), ("b", "1s 1min"), ("c", "5s 90min"), ("d", "5s 90min")] {
        assert_eq!(database.value::<String>(&format!("SELECT seen FROM {table}")).await, limits, "{table}");
    }
    // To sqlx they are comments, and the files what was applied.
    project.run("sqlx migrate run").await.must_exit(0);
    project.run("rollback --to 1").await.must_exit(0);
    assert_eq!(database.value::<String>("SELECT seen FROM b_down").await, "9s 1min");
}

#[tokio::test]
async fn a_limit_that_a_file_cannot_mean_is_refused() {
    let database = Database::create().await;
    let before = database.everything().await;
    for (name, sql) in [
        ("unknown", "-- rehearsal: lock_timout=5s\nSELECT 1;\n"),
        ("none", "\n-- rehearsal: lock_timeout=0s\nSELECT 1;\n"),
        ("no_batch_time", "-- rehearsal: batch_time=0s\nSELECT 1;\n"),
        ("late", "SELECT 1;\n-- rehearsal: lock_timeout=5s\nSELECT 2;\n"),
    ] {
        let project = project().migration("1_a", sql, "SELECT 1;").on(&database);
        for command in ["plan", "migrate", "rehearse"] {
            let ended = project.run(command).await;
            ended.must_exit(2);
            let (error, hint) = ended.error();
            insta::assert_snapshot!(format!("directive_{name}"), format!("{error}\n{hint}"));
        }
    }
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn a_target_has_limits_of_its_own() {
    let database = Database::create().await;
    let project = project()
        .write(
            "rehearsal.toml",
            "[limits]\nlock_timeout = '1s'\nstatement_timeout = '1min'\n\
             [targets.production]\nurl_env = 'DATABASE_URL'\nlimits = { lock_timeout = '3s' }\n\
             [targets.dev.limits]\nlock_timeout = '4s'\nlock_timeout_most = '4s'\n",
        )
        .migration("1_a", &seen("a"), "DROP TABLE a;")
        .migration("2_b", &format!("-- rehearsal: statement_timeout=7min\n{}", seen("b")), "DROP TABLE b;")
        .migration(
            "3_c",
            "DO $$ BEGIN RAISE NOTICE 'limits % %', current_setting('lock_timeout'), current_setting('statement_timeout'); END $$;",
            "SELECT 1;",
        )
        .on(&database);
    project.run("migrate --target production --to 1").await.must_exit(0);
    project.run("migrate --to 2").await.must_exit(0);
    for (table, limits) in [("a", "3s 1min"), ("b", "4s 7min")] {
        assert_eq!(database.value::<String>(&format!("SELECT seen FROM {table}")).await, limits, "{table}");
    }
    // A rehearsal of a target has the target's limits.
    project.run("rehearse --target production").await.must_exit(0).must_say("NOTICE: limits 3s 1min");
    project.change("rehearsal.toml", "[targets.production]\nlimits = { lock_timeout = '0s' }\n");
    let ended = project.run("migrate").await;
    ended.must_exit(2);
    assert!(
        ended.error().0.contains("targets.production.limits.lock_timeout must be at least 1ms"),
        "{}",
        ended.text()
    );
    project.change("rehearsal.toml", "[targets.production]\nlimits = { lock_timout = '1s' }\n");
    let ended = project.run("migrate").await;
    ended.must_exit(2);
    assert!(ended.error().0.contains("line 2: unknown field `lock_timout`"), "{}", ended.text());
}
