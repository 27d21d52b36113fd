//! Runbook R4: a tenant is created under the username.

use rehearsal_tests::Database;
use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Service, body};

#[tokio::test]
async fn a_tenant_is_a_schema_of_the_username() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    // With a hyphen, a name that only quoting makes a name.
    let browser = service.browser_of("drop-table-9").await;
    assert_eq!(browser.get("/tenants/mine").await.status(), StatusCode::NOT_FOUND);
    let tenant = browser.create("/tenants", json!({})).await;
    assert_eq!((&tenant["name"], &tenant["subdomain"]), (&"drop-table-9".into(), &"drop-table-9.example.com".into()));
    assert_eq!(browser.read("/tenants/mine").await, tenant);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'drop-table-9'";
    assert_eq!(database.value::<i64>(schemas).await, 1);
    assert_eq!(browser.post("/tenants", json!({})).await.status(), StatusCode::CONFLICT);
    service.end().await;
}

/// The row and the schema come together or not at all.
#[tokio::test]
async fn a_name_that_cannot_be_a_schema_makes_no_tenant() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let occupied = service.browser_of("occupied").await;
    database.execute("CREATE SCHEMA occupied").await;
    let answer = occupied.post("/tenants", json!({})).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(body(answer).await["error"], "no tenant can be made of your username");
    // Reserved since the account was made.
    let early = service.browser_of("early-bird").await;
    database.execute("INSERT INTO reserved_usernames VALUES ('early-bird')").await;
    assert_eq!(early.post("/tenants", json!({})).await.status(), StatusCode::CONFLICT);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM tenants").await, 0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM pg_namespace WHERE nspname = 'early-bird'").await, 0);
    service.end().await;
}

#[tokio::test]
async fn two_requests_at_once_make_one_tenant() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let answers = futures_util::future::join_all((0..4).map(|_| browser.post("/tenants", json!({})))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    service.end().await;
}
