//! What those who run the service look at: its health, its description, its limits.

use std::collections::BTreeSet;

use rehearsal_tests::Database;
use rehearsal_tests::database::execute;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::service::{Service, body};

/// Runbook R1: the health endpoint answers `{"status":"healthy","timestamp":…}`.
#[tokio::test]
async fn health_says_how_it_is_and_when() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let health = service.browser().read("/health").await;
    assert_eq!(health["status"], "healthy");
    let timestamp = health["timestamp"].as_str().expect("a timestamp");
    assert!(timestamp.len() == "2026-01-01T00:00:00.000Z".len() && timestamp.ends_with('Z'), "{timestamp}");
    // Without its database it cannot do its work.
    let server = rehearsal_tests::server().database("postgres");
    let name = database.name();
    execute(&server, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    execute(&server, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
    let answer = service.browser().get("/health").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(answer).await["status"], "unhealthy");
    execute(&server, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    service.end().await;
}

/// Runbook R1: the API docs page answers. It brings all that it needs, and describes what is there.
#[tokio::test]
async fn the_api_is_described_for_programs_and_people() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    let answer = browser.get("/docs").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let page = answer.text().await.expect("a page");
    assert!(page.contains("fetch(\"/openapi.json\")"), "{page}");
    for elsewhere in ["http://", "https://", "src=", "@import"] {
        assert!(!page.contains(elsewhere), "the page needs something from elsewhere: {elsewhere}");
    }

    let api = browser.read("/openapi.json").await;
    assert!(api["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{api}");
    let paths = api["paths"].as_object().expect("paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
            // What is described is there: no description's path is answered by nobody.
            let concrete = path.replace("{id}", "0").replace("{token}", "00000000-0000-0000-0000-000000000000");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let answer = browser.request(method, &concrete).send().await.expect("an answer");
            assert_ne!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            let is_known = answer.status() != StatusCode::NOT_FOUND || body(answer).await["error"] == "not found";
            assert!(is_known, "{path}");
        }
    }
    let mut missing = BTreeSet::new();
    references(&api, &mut |name| {
        if api.pointer(name.trim_start_matches('#')).is_none() {
            missing.insert(name.to_owned());
        }
    });
    assert!(missing.is_empty(), "{missing:?}");
    service.end().await;
}

/// Errors have one shape, also where no route is.
#[tokio::test]
async fn what_is_not_there_is_told_as_every_error() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    let answer = browser.get("/nowhere").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(body(answer).await, json!({ "error": "there is nothing at this address" }));
    let answer = browser.request(Method::DELETE, "/health").send().await.expect("an answer");
    assert_eq!(
        (answer.status(), answer.headers()["allow"].clone()),
        (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD".parse().expect("a value"))
    );
    assert_eq!(body(answer).await, json!({ "error": "this address does not take that method" }));
    service.end().await;
}

/// Every `$ref` in a document.
fn references(value: &Value, told: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                told(name);
            }
            fields.values().for_each(|field| references(field, told));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| references(entry, told)),
        _ => {}
    }
}

#[tokio::test]
async fn only_origins_that_were_named_may_ask() {
    let database = Database::create().await;
    let origins = "https://app.example.com,http://localhost:3000";
    let service = Service::start_with(&database, &[("APP_CORS_ORIGINS", origins)]).await;
    let preflight = async |origin: &str| {
        service
            .browser()
            .request(Method::OPTIONS, "/tasks")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .send()
            .await
            .expect("an answer")
    };
    for origin in origins.split(',') {
        let answer = preflight(origin).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], origin);
        assert_eq!(answer.headers()["access-control-allow-credentials"], "true");
    }
    assert!(!preflight("https://elsewhere.example").await.headers().contains_key("access-control-allow-origin"));
    service.end().await;
}

/// Sessions outlive no change of the secret, and cookies say no more than they must.
#[tokio::test]
async fn cookies_are_kept_to_http_and_to_this_site() {
    let database = Database::create().await;
    let service = Service::start_with(&database, &[("APP_SECURE_COOKIES", "true")]).await;
    let browser = service.browser();
    browser.sign_up("ada").await;
    let answer = browser.post("/log-in", json!({ "username": "ada", "password": crate::service::PASSWORD })).await;
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie");
    for word in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(cookie.contains(word), "{word}: {cookie}");
    }
    service.end().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_or_no_json_is_refused_in_words() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let long = browser.post("/tasks", json!({ "title": "x", "description": "x".repeat(300 * 1024) })).await;
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(body(long).await["error"].is_string());
    let no_json = browser.request(Method::POST, "/tasks").body("title=x").send().await.expect("an answer");
    assert_eq!(no_json.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(body(no_json).await["error"].is_string());
    let no_id = browser.get("/tasks/first").await;
    assert_eq!(no_id.status(), StatusCode::BAD_REQUEST);
    assert!(body(no_id).await["error"].is_string());
    service.end().await;
}

/// A migration that holds a table, or anybody: whoever asks meanwhile is told to try again.
#[tokio::test]
async fn a_table_that_is_locked_is_no_failure_of_ours() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let mut connection = database.connect().await;
    let mut transaction = connection.begin().await.expect("it begins");
    transaction.execute("LOCK TABLE accounts_userprofile").await.expect("it is locked");
    let answer = service.browser().get("/teachers").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(answer).await["error"], "too busy at the moment, please try again");
    transaction.rollback().await.expect("it ends");
    assert_eq!(service.browser().get("/teachers").await.status(), StatusCode::OK);
    service.end().await;
}
