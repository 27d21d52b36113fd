//! What a service does with its migrations when it starts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rehearsal::startup::{StartupPolicy, migrate};
use rehearsal_tests::{Database, Project};
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

/// Three files that only add, and one that takes something away.
fn adding_and_removing() -> Project {
    project()
        .migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n")
        .migration("2_b", "ALTER TABLE a ADD COLUMN b boolean NOT NULL DEFAULT false;\n", "ALTER TABLE a DROP b;\n")
        .migration("3_gone", "SELECT 1;\nALTER TABLE a DROP COLUMN id;\n", "ALTER TABLE a ADD COLUMN id int;\n")
        .migration("4_c", "CREATE TABLE c (id int);\n", "DROP TABLE c;\n")
}

async fn of(project: &Project) -> Migrator {
    Migrator::new(project.path("migrations")).await.expect("the migrations are read")
}

#[tokio::test]
async fn what_only_adds_is_applied_up_to_what_does_not() {
    let database = Database::create().await;
    let project = adding_and_removing();
    let outcome =
        migrate(&database.url(), &of(&project).await, StartupPolicy::InstantOnly).await.expect("no error is met");
    assert_eq!(outcome.applied, [1, 2]);
    assert_eq!((outcome.known, outcome.current, outcome.pending), (4, Some(2), vec![3, 4]));
    let refused = outcome.refused.expect("one is refused");
    assert_eq!((refused.version, refused.place.as_str()), (3, "3_gone.up.sql:2"));
    assert!(refused.reason.contains("it destroys data"), "{refused}");
    assert_eq!(refused.command, "cargo xtask migrate --target NAME --to 3");
    assert_eq!(database.applied().await, ["1", "2"]);
    // The command does it, and the next start goes on behind it.
    project.on(&database).run("migrate --to 3").await.must_exit(0);
    let outcome = migrate(&database.url(), &of(&adding_and_removing()).await, StartupPolicy::InstantOnly)
        .await
        .expect("no error is met");
    assert_eq!((outcome.applied, outcome.refused), (vec![4], None));
}

#[tokio::test]
async fn a_file_that_takes_long_is_rolled_back_and_refused() {
    let database = Database::create().await;
    let project = project().migration(
        "1_slow",
        "CREATE TABLE a (id int);\nSET LOCAL statement_timeout = 0;\n\
         CREATE TABLE b AS SELECT 1 AS one FROM pg_sleep(0.3);\nCREATE TABLE c AS SELECT 1 AS one FROM pg_sleep(30);\n",
        "DROP TABLE c, b, a;\n",
    );
    let began = Instant::now();
    let outcome =
        migrate(&database.url(), &of(&project).await, StartupPolicy::InstantOnly).await.expect("no error is met");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let refused = outcome.refused.expect("it is refused");
    assert_eq!(refused.place, "1_slow.up.sql:4");
    assert!(refused.reason.contains("longer than the 1000 ms"), "{refused}");
    assert!(database.value::<bool>("SELECT to_regclass('a') IS NULL").await);
    assert_eq!(database.applied().await, [""; 0]);
    assert_eq!(database.advisory_locks().await, 0);
}

/// While a start tries to get a lock that somebody holds, readers must get through between its tries.
#[tokio::test]
async fn nobody_queues_behind_a_start_that_waits_for_a_lock() {
    let database = Database::create().await;
    database.execute("CREATE TABLE a (id int)").await;
    let mut holder = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM a").execute(&mut holder).await.expect("the lock is taken");
    let project = project().migration("1_b", "-- why\nALTER TABLE a ADD COLUMN b int;\n", "ALTER TABLE a DROP b;\n");
    let (url, migrator) = (database.url(), of(&project).await);
    let start = tokio::spawn(async move { migrate(&url, &migrator, StartupPolicy::InstantOnly).await });
    let mut reader = database.connect().await;
    // Held by a try until its lock timeout, and let through before the next one: one long wait would hold a reader
    // for nearly all of the time.
    let began = Instant::now();
    let (mut reads, mut longest) = (0u32, Duration::ZERO);
    while !start.is_finished() {
        let asked = Instant::now();
        sqlx::raw_sql("SELECT count(*) FROM a").execute(&mut reader).await.expect("it is read");
        (reads, longest) = (reads + 1, longest.max(asked.elapsed()));
    }
    let lasted = began.elapsed();
    let outcome = start.await.expect("it ends").expect("no error is met");
    let refused = outcome.refused.expect("it is refused");
    assert_eq!(refused.place, "1_b.up.sql:2");
    let tries = refused.reason.strip_prefix("no lock within ").and_then(|rest| rest.split_once(" tries of 200 ms"));
    let tries: u32 = tries.and_then(|(tries, _)| tries.parse().ok()).unwrap_or_else(|| panic!("{refused}"));
    assert!(tries >= 2, "{refused}");
    assert!(reads >= 2 && longest < lasted / 2, "{reads} reads, one of them for {longest:?} of {lasted:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.expect("the lock is given back");
    let outcome = migrate(&database.url(), &of(&project).await, StartupPolicy::InstantOnly).await.expect("it applies");
    assert_eq!(outcome.applied, [1]);
}

/// A file may ask for less than a start would wait, and not for more.
#[tokio::test]
async fn a_files_own_lock_timeout_may_be_shorter() {
    let database = Database::create().await;
    database.execute("CREATE TABLE a (id int)").await;
    let mut holder = database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM a").execute(&mut holder).await.expect("the lock is taken");
    for (own, told) in [("20ms", "tries of 20 ms"), ("5s", "tries of 200 ms")] {
        let up = format!("-- rehearsal: lock_timeout={own}\nALTER TABLE a ADD COLUMN b int;\n");
        let project = project().migration("1_b", &up, "ALTER TABLE a DROP b;\n");
        let outcome =
            migrate(&database.url(), &of(&project).await, StartupPolicy::InstantOnly).await.expect("no error is met");
        let refused = outcome.refused.expect("it is refused");
        assert!(refused.reason.contains(told), "{own}: {refused}");
        let tries: u32 = refused.reason.split_whitespace().find_map(|word| word.parse().ok()).expect("it counts them");
        // A second, at 20 and at 200 ms a try with some 50 ms in between.
        assert_eq!(tries > 6, own == "20ms", "{refused}");
    }
}

#[tokio::test]
async fn of_ten_replicas_one_applies_and_all_start() {
    for policy in [StartupPolicy::InstantOnly, StartupPolicy::Apply] {
        let database = Database::create().await;
        let project = project().migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n").migration(
            "2_b",
            "CREATE INDEX a_id ON a (id);\n",
            "DROP INDEX a_id;\n",
        );
        let migrator = Arc::new(of(&project).await);
        let mut replicas = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (url, migrator) = (database.url(), Arc::clone(&migrator));
            replicas.spawn(async move { migrate(&url, &migrator, policy).await });
        }
        let outcomes: Vec<_> = replicas.join_all().await.into_iter().map(|outcome| outcome.expect("starts")).collect();
        let applied: usize = outcomes.iter().map(|outcome| outcome.applied.len()).sum();
        assert_eq!(applied, 2, "{policy}: {outcomes:?}");
        assert!(outcomes.iter().all(|outcome| outcome.current == Some(2) && outcome.pending.is_empty()), "{policy}");
        assert_eq!(database.applied().await, ["1", "2"]);
        assert_eq!(database.advisory_locks().await, 0);
    }
}

#[tokio::test]
async fn a_replica_of_before_starts_on_a_newer_database() {
    let database = Database::create().await;
    let newer = adding_and_removing().on(&database);
    newer.run("migrate").await.must_exit(0);
    let older = adding_and_removing();
    for file in ["3_gone.up.sql", "3_gone.down.sql", "4_c.up.sql", "4_c.down.sql"] {
        older.remove(&format!("migrations/{file}"));
    }
    for policy in [StartupPolicy::InstantOnly, StartupPolicy::Apply, StartupPolicy::Check] {
        let outcome = migrate(&database.url(), &of(&older).await, policy).await.expect("it starts");
        assert_eq!((outcome.current, outcome.ahead, outcome.applied), (Some(2), vec![3, 4], vec![]), "{policy}");
    }
    // A newer run that is in the middle of a file does not stop it either.
    database.execute("UPDATE _sqlx_migrations SET success = false WHERE version = 4").await;
    migrate(&database.url(), &of(&older).await, StartupPolicy::Apply).await.expect("it starts");
    // What it knows itself must be what was applied.
    older.change("migrations/2_b.up.sql", "ALTER TABLE a ADD COLUMN b int;\n");
    let error = migrate(&database.url(), &of(&older).await, StartupPolicy::Check).await.expect_err("edited");
    assert!(error.to_string().contains("was edited"), "{error}");
    older.remove("migrations/1_a.up.sql");
    older.remove("migrations/1_a.down.sql");
    let error = migrate(&database.url(), &of(&older).await, StartupPolicy::Check).await.expect_err("missing");
    assert!(error.to_string().contains("version 1"), "{error}");
}

/// A start never puts an older file behind a newer one, not even behind one that it does not know.
#[tokio::test]
async fn an_older_file_is_not_applied_behind_a_newer_one() {
    let database = Database::create().await;
    let newer = adding_and_removing().on(&database);
    newer.remove("migrations/2_b.up.sql");
    newer.remove("migrations/2_b.down.sql");
    newer.run("migrate").await.must_exit(0);
    let older = adding_and_removing();
    for file in ["3_gone.up.sql", "3_gone.down.sql", "4_c.up.sql", "4_c.down.sql"] {
        older.remove(&format!("migrations/{file}"));
    }
    let error = migrate(&database.url(), &of(&older).await, StartupPolicy::InstantOnly).await.expect_err("refused");
    assert!(error.to_string().contains("out of order"), "{error}");
}
