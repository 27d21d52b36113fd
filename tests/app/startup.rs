//! What the service does with its migrations when it starts.

use rehearsal::startup::{StartupPolicy, StartupTerms};
use rehearsal_tests::Database;
use reqwest::StatusCode;
use tokio::task::JoinHandle;

use crate::service::{Service, config};

/// The versions that the service brings.
fn embedded() -> Vec<i64> {
    let up = migrations::MIGRATIONS.iter().filter(|migration| migration.migration_type.is_up_migration());
    up.map(|migration| migration.version).collect()
}

/// Replicas that start together: one applies, the others wait for it, and all of them serve.
#[tokio::test]
async fn replicas_that_start_at_once_apply_everything_once() {
    let database = Database::create().await;
    let replicas: Vec<JoinHandle<()>> = (0..4)
        .map(|_| {
            let config = config(&database, &[]);
            tokio::spawn(async move { app::migrate(&config).await.expect("it starts") })
        })
        .collect();
    for replica in replicas {
        tokio::time::timeout(std::time::Duration::from_secs(60), replica).await.expect("in time").expect("no panic");
    }
    assert_eq!(database.applied().await.len(), embedded().len());
    assert_eq!(database.advisory_locks().await, 0);
    let runs = "SELECT count(DISTINCT run_id) FROM rehearsal.journal";
    assert_eq!(database.value::<i64>(runs).await, 1, "one replica did all of it");
    let (one, two) = (Service::start(&database).await, Service::start(&database).await);
    for service in [one, two] {
        assert_eq!(service.browser().get("/health").await.status(), StatusCode::OK);
        service.end().await;
    }
}

#[tokio::test]
async fn the_policy_decides_what_a_start_does() {
    let database = Database::create().await;
    let empty = database.everything().await;
    app::migrate(&config(&database, &[("APP_MIGRATE", "off")])).await.expect("it starts");
    // Tables that this code needs are not there: it says so instead of failing at each request.
    let error = app::migrate(&config(&database, &[("APP_MIGRATE", "check")])).await.expect_err("it does not");
    assert_eq!(
        error.to_string(),
        "this service needs version 22 of the schema, and version 1 is pending; \
         run `cargo xtask migrate --target NAME --to 22`"
    );
    assert_eq!(database.everything().await, empty);
    let error = app::migrate(&config(&database, &[("APP_MIGRATE", "instant-only")])).await.expect_err("it does not");
    let (error, command) = (error.to_string(), "run `cargo xtask migrate --target NAME --to 22`");
    assert!(error.contains("3_backfill_onboarding_completed.up.sql:6") && error.ends_with(command), "{error}");
    assert_eq!(database.applied().await, ["1", "2"]);
    app::migrate(&config(&database, &[("APP_MIGRATE", "apply")])).await.expect("it starts");
    assert_eq!(database.applied().await.len(), embedded().len());
}

/// What a workspace has decided of its history and its journal holds for the service as well.
#[tokio::test]
async fn a_start_goes_by_what_the_workspace_says_of_history_and_journal() {
    let database = Database::create().await;
    let mut config = config(&database, &[]);
    config.migrate = config.migrate.with_config("[journal]\nschema = 'ops'\n").expect("it can be meant");
    app::migrate(&config).await.expect("it starts");
    assert!(database.value::<bool>("SELECT to_regclass('ops.journal') IS NOT NULL").await);
    assert!(database.value::<bool>("SELECT to_regnamespace('rehearsal') IS NULL").await);

    // A version whose file is gone for good, and one that comes late.
    let newest = *embedded().last().expect("there are some");
    database.execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (0, 'gone', true, '', 0)").await;
    let error = app::migrate(&config).await.expect_err("it is not accepted");
    assert!(format!("{error:#}").contains("version 0"), "{error:#}");
    config.migrate = config.migrate.with_config("[history]\nmissing_files = [0]\n").expect("it can be meant");
    app::migrate(&config).await.expect("it starts");

    let after = newest + 1;
    database.execute(&format!("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ({after}, 'newer', true, '', 0)")).await;
    database.execute(&format!("DELETE FROM _sqlx_migrations WHERE version = {newest}")).await;
    config.migrate.policy = StartupPolicy::Check;
    let error = app::migrate(&config).await.expect_err("it is out of order");
    assert!(format!("{error:#}").contains("out of order"), "{error:#}");
    let text = format!("[history]\nmissing_files = [0]\nout_of_order = [{newest}]\n");
    config.migrate = config.migrate.with_config(&text).expect("it can be meant");
    app::migrate(&config).await.expect("it may come late");
}

#[tokio::test]
async fn terms_that_cannot_be_meant_are_refused_with_their_line() {
    let terms = StartupTerms::from(StartupPolicy::Check);
    let told = |text: &str| terms.clone().with_config(text).expect_err("refused").to_string();
    assert_eq!(
        told("[backup]\n[history]\nlate = true\n"),
        "rehearsal.toml: line 3: unknown field `late`, expected `out_of_order` or `missing_files`"
    );
    assert!(told("[journal]\nschema = 'public'\n").contains("journal.schema must be"));
}

/// A database that does not fit what the service was built with must not be served on.
#[tokio::test]
async fn an_edited_history_stops_the_start() {
    let database = Database::create().await;
    app::migrate(&config(&database, &[])).await.expect("it starts");
    database.execute("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 3").await;
    let error = app::migrate(&config(&database, &[])).await.expect_err("it refuses");
    assert!(format!("{error:#}").contains("was edited after it was applied"), "{error:#}");
}

#[tokio::test]
async fn what_is_embedded_is_what_is_in_the_folder() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root").join("migrations");
    let files = rehearsal::source::MigrationSet::from_folder(&folder).expect("the folder is read");
    let embedded = rehearsal::source::MigrationSet::from_embedded(&migrations::MIGRATIONS).expect("they are read");
    let sums = |set: &rehearsal::source::MigrationSet| {
        set.iter()
            .map(|migration| (migration.version, migration.up.checksum.clone(), migration.down.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(sums(&files), sums(&embedded));
}
