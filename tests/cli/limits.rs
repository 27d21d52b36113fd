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
