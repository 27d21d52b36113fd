//! What a service's migrator says beside its migrations.

use rehearsal::startup::{StartupPolicy, migrate};
use rehearsal_tests::Database;
use sqlx::migrate::Migrator;

use crate::project;

async fn migrator() -> Migrator {
    let project = project().migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n");
    Migrator::new(project.path("migrations")).await.expect("the migrations are read")
}

/// Two services in one database, each with a history of its own.
#[tokio::test]
async fn the_migrators_own_table_and_schemas_are_used() {
    let database = Database::create().await;
    let mut migrator = migrator().await;
    migrator.dangerous_set_table_name("orders.history");
    migrator.create_schema("orders");
    let outcome = migrate(&database.url(), &migrator, StartupPolicy::Apply).await.expect("it is applied");
    assert_eq!((outcome.current, outcome.applied), (Some(1), vec![1]));
    assert_eq!(database.list("SELECT version FROM orders.history").await, ["1"]);
    assert!(database.value::<bool>("SELECT to_regclass('_sqlx_migrations') IS NULL").await);
    // sqlx itself agrees, and so does a second start.
    migrator.run(&mut database.connect().await).await.expect("nothing is left to do");
    let outcome = migrate(&database.url(), &migrator, StartupPolicy::Apply).await.expect("nothing is left to do");
    assert_eq!((outcome.current, outcome.applied, outcome.pending), (Some(1), vec![], vec![]));
}

#[tokio::test]
async fn what_is_not_done_here_is_refused() {
    let database = Database::create().await;
    let before = database.everything().await;
    let (mut missing, mut unlocked) = (migrator().await, migrator().await);
    missing.set_ignore_missing(true);
    unlocked.set_locking(false);
    for (migrator, words) in [(missing, "ignore_missing"), (unlocked, "no locking")] {
        let error = migrate(&database.url(), &migrator, StartupPolicy::Apply).await.expect_err("refused");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.kind().exit_code(), 2);
    }
    assert_eq!(database.everything().await, before);
}
