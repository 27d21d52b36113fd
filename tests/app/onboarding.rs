//! Runbook R2: where people are sent, who is new and who is not.

use rehearsal_tests::Database;
use reqwest::StatusCode;
use serde_json::json;

use crate::service::{PASSWORD, Service, body, leads_to};

/// First flow: whoever signs up goes through the onboarding before the dashboard.
#[tokio::test]
async fn a_new_user_goes_through_the_onboarding() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    assert_eq!(browser.sign_up("newcomer").await["onboarding_completed"], false);
    let answer = browser.post("/log-in", json!({ "email": "newcomer@example.com", "password": PASSWORD })).await;
    assert_eq!(body(answer).await["next"], "/onboarding");
    assert_eq!(leads_to(&browser.get("/").await), "/onboarding");
    assert_eq!(leads_to(&browser.get("/dashboard").await), "/onboarding");
    let page = browser.read("/onboarding").await;
    assert_eq!((&page["page"], &page["user"]["email"]), (&"onboarding".into(), &"newcomer@example.com".into()));
    let open: bool = database.value(r#"SELECT onboarding_completed FROM "user""#).await;
    assert!(!open);
    service.end().await;
}

/// Second flow: completing it leads to the dashboard, for ever.
#[tokio::test]
async fn who_completes_the_onboarding_stays_done_with_it() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("newcomer").await;
    assert_eq!(leads_to(&browser.post("/onboarding", json!({})).await), "/dashboard");
    let page = browser.read("/dashboard").await;
    assert_eq!((&page["page"], &page["user"]["onboarding_completed"]), (&"dashboard".into(), &true.into()));
    assert_eq!(leads_to(&browser.get("/start").await), "/dashboard");
    assert_eq!(leads_to(&browser.get("/onboarding").await), "/dashboard");
    assert_eq!(leads_to(&browser.post("/onboarding", json!({})).await), "/dashboard");
    assert_eq!(browser.post("/log-out", json!({})).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(browser.get("/dashboard").await.status(), StatusCode::UNAUTHORIZED);
    let answer = browser.post("/log-in", json!({ "username": "newcomer", "password": PASSWORD })).await;
    assert_eq!(body(answer).await["next"], "/dashboard");
    service.end().await;
}

/// Third flow: an account from before all releases never sees the onboarding, and has a username.
#[tokio::test]
async fn an_existing_user_goes_straight_to_the_dashboard() {
    let database = Database::create().await;
    let before: Vec<_> = migrations::MIGRATIONS.iter().filter(|migration| migration.version == 1).collect();
    for migration in before.iter().filter(|migration| migration.migration_type.is_up_migration()) {
        database.execute(migration.sql.as_str()).await;
    }
    // Signed up with the code of before: it knows no such column. The password is "rehearsal".
    database
        .execute(
            "INSERT INTO users (email, name, hashed_password, created_at) VALUES ('existing@example.com', 'Existing', \
             '$argon2id$v=19$m=19456,t=2,p=1$cmVoZWFyc2FsIHNhbHQgMQ$JtNqC1l8tXXJ9XAe+HbYGfHikoMiyyaLf9JLFRYyzPQ', now() - interval '1 year')",
        )
        .await;
    // What version 1 left is recorded as sqlx records it.
    let checksum: String = before[0].checksum.iter().map(|byte| format!("{byte:02x}")).collect();
    database
        .execute(&format!(
            "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, \
             installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL); \
             INSERT INTO _sqlx_migrations VALUES (1, 'baseline', now(), true, '\\x{checksum}', 1)"
        ))
        .await;
    let service = Service::start(&database).await;
    for (key, name) in [("email", "existing@example.com"), ("username", "existing")] {
        let browser = service.browser();
        let answer = browser.post("/log-in", json!({ (key): name, "password": "rehearsal" })).await;
        assert_eq!(answer.status(), StatusCode::OK, "{key}");
        assert_eq!(body(answer).await["next"], "/dashboard");
        assert_eq!(browser.read("/dashboard").await["user"]["onboarding_completed"], true);
    }
    service.end().await;
}
