//! A target is pinned to one database: whatever else its URL leads to is refused before the first write.

use rehearsal_tests::{Database, Project};

use crate::project;

fn pinned(project: Project, identity: &str) -> Project {
    let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("the configuration");
    let config = config.replace("[targets.dev]\n", &format!("[targets.dev]\nidentity = {identity}\n"));
    project.write("rehearsal.toml", &config)
}

async fn system_identifier(database: &Database) -> String {
    database.value("SELECT system_identifier::text FROM pg_control_system()").await
}

#[tokio::test]
async fn the_right_database_is_let_through() {
    let database = Database::create().await;
    let (system, name) = (system_identifier(&database).await, database.name());
    let identity = format!("{{ system_identifier = '{system}', database = '{name}' }}");
    let project = pinned(project().items(10).on(&database), &identity);
    for command in ["status", "rehearse --target dev", "migrate", "verify", "db-backup", "restore", "rollback --to 0"] {
        project.run(command).await.must_exit(0);
    }
}

#[tokio::test]
async fn another_database_behind_the_url_is_refused() {
    let database = Database::create().await;
    let system = system_identifier(&database).await;
    let before = database.everything().await;
    for identity in ["{ database = 'shop' }", "{ system_identifier = '123' }"] {
        let project = pinned(project().items(10).on(&database), identity);
        for command in [
            "migrate",
            "rollback --to 0",
            "verify",
            "status",
            "plan",
            "db-backup",
            "rehearse --target dev",
            "mark-applied 1",
            "repair",
            "sqlx migrate run --target dev",
        ] {
            let ended = project.run(command).await;
            let (error, hint) = ended.must_exit(3).error();
            assert!(error.contains("leads elsewhere: it is pinned to"), "{command}: {error}");
            assert!(error.contains(&format!("database {} of system {system}", database.name())), "{command}: {error}");
            assert!(hint.contains("correct the URL"), "{hint}");
        }
    }
    assert_eq!(database.everything().await, before);
}
