//! The service over HTTP, on a database that it finds empty: it brings the schema by itself.

use std::net::SocketAddr;

use app::Config;
use rehearsal_tests::Database;
use rehearsal_tests::database::execute;
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running service.
struct Service {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), String>>,
}

fn config(database: &Database, more: &[(&str, &str)]) -> Config {
    let url = database.url();
    Config::from_lookup(|name| {
        let more = more.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        match name {
            "DATABASE_URL" => Ok(url.clone()),
            // The tests talk plain HTTP.
            "APP_SECURE_COOKIES" => Ok("false".into()),
            _ => more.ok_or(std::env::VarError::NotPresent),
        }
    })
    .expect("the settings are right")
}

impl Service {
    /// As the program's `main` does: the schema first, then the socket.
    async fn start(database: &Database) -> Self {
        let config = config(database, &[]);
        app::migrate(&config).await.expect("it brings the schema up to date");
        Self::serve(config).await
    }

    async fn serve(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap_or_default() };
            app::serve(config, listener, shutdown).await.map_err(|error| format!("{error:#}"))
        });
        Self { address, stop: Some(stop), task }
    }

    async fn end(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), self.task).await;
        ended.expect("it ends in time").expect("it does not panic").expect("it ends well");
    }

    /// A browser of its own, that shows redirects instead of following them.
    fn browser(&self) -> Browser {
        // Wanted before the first client is made, also for plain HTTP; the second time is refused.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .cookie_store(true)
            .redirect(redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(20))
            .build()
            .expect("a client");
        Browser { client, root: format!("http://{}", self.address) }
    }
}

struct Browser {
    client: Client,
    root: String,
}

impl Browser {
    async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.root)).send().await.expect("an answer")
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.client.post(format!("{}{path}", self.root)).json(&body).send().await.expect("an answer")
    }
}

async fn body(response: Response) -> Value {
    response.json().await.expect("JSON")
}

/// Where a redirect leads to.
fn leads_to(response: &Response) -> &str {
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "a redirect");
    response.headers()["location"].to_str().expect("a path")
}

const NEW: &str = "new@example.com";
const PASSWORD: &str = "long enough";

async fn sign_up_and_log_in(browser: &Browser) -> Value {
    let response = browser.post("/sign-up", json!({ "email": NEW, "name": "New", "password": PASSWORD })).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let user = body(response).await;
    let response = browser.post("/log-in", json!({ "email": NEW, "password": PASSWORD })).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(body(response).await["next"], "/onboarding");
    user
}

/// Runbook R2, first flow: whoever signs up goes through the onboarding before the dashboard.
#[tokio::test]
async fn a_new_user_goes_through_the_onboarding() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    let user = sign_up_and_log_in(&browser).await;
    assert_eq!(user["onboarding_completed"], false);
    assert!(user.get("hashed_password").is_none() && user.get("password").is_none(), "{user}");
    assert_eq!(leads_to(&browser.get("/").await), "/onboarding");
    assert_eq!(leads_to(&browser.get("/dashboard").await), "/onboarding");
    let page = body(browser.get("/onboarding").await).await;
    assert_eq!((&page["page"], &page["user"]["email"]), (&"onboarding".into(), &NEW.into()));
    let open: bool = database.value("SELECT onboarding_completed FROM users").await;
    assert!(!open);
    service.end().await;
}

/// Second flow: completing it leads to the dashboard, for ever.
#[tokio::test]
async fn who_completes_the_onboarding_stays_done_with_it() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    sign_up_and_log_in(&browser).await;
    assert_eq!(leads_to(&browser.post("/onboarding", json!({})).await), "/dashboard");
    let page = body(browser.get("/dashboard").await).await;
    assert_eq!((&page["page"], &page["user"]["onboarding_completed"]), (&"dashboard".into(), &true.into()));
    assert_eq!(leads_to(&browser.get("/onboarding").await), "/dashboard");
    assert_eq!(leads_to(&browser.post("/onboarding", json!({})).await), "/dashboard");
    assert_eq!(browser.post("/log-out", json!({})).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(browser.get("/dashboard").await.status(), StatusCode::UNAUTHORIZED);
    let response = browser.post("/log-in", json!({ "email": NEW, "password": PASSWORD })).await;
    assert_eq!(body(response).await["next"], "/dashboard");
    service.end().await;
}

/// Third flow: an account from before the release never sees the onboarding.
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
    let browser = service.browser();
    let response = browser.post("/log-in", json!({ "email": "existing@example.com", "password": "rehearsal" })).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(body(response).await["next"], "/dashboard");
    let page = body(browser.get("/dashboard").await).await;
    assert_eq!(page["user"]["onboarding_completed"], true);
    service.end().await;
}

#[tokio::test]
async fn health_says_how_it_is_and_when() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let response = service.browser().get("/health").await;
    assert_eq!(response.status(), StatusCode::OK);
    let health = body(response).await;
    assert_eq!(health["status"], "healthy");
    let timestamp = health["timestamp"].as_str().expect("a timestamp");
    assert!(timestamp.len() == "2026-01-01T00:00:00.000Z".len() && timestamp.ends_with('Z'), "{timestamp}");
    // Without its database it cannot do its work.
    let server = rehearsal_tests::server().database("postgres");
    let name = database.name();
    execute(&server, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    execute(&server, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
    let response = service.browser().get("/health").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(response).await["status"], "unhealthy");
    execute(&server, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    service.end().await;
}

#[tokio::test]
async fn who_is_not_who_they_say_gets_nowhere() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    for path in ["/", "/start", "/dashboard", "/onboarding"] {
        assert_eq!(browser.get(path).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    sign_up_and_log_in(&browser).await;
    let other = service.browser();
    for (email, password) in [
        (NEW, "not the password"),
        ("nobody@example.com", PASSWORD),
        ("NEW@example.com", PASSWORD),
        ("new@example.com\0", PASSWORD),
    ] {
        let response = other.post("/log-in", json!({ "email": email, "password": password })).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{email}");
    }
    assert_eq!(other.get("/dashboard").await.status(), StatusCode::UNAUTHORIZED);
    let taken = other.post("/sign-up", json!({ "email": NEW, "password": PASSWORD })).await;
    assert_eq!(taken.status(), StatusCode::CONFLICT);
    let short = other.post("/sign-up", json!({ "email": "nobody", "password": "short" })).await;
    assert_eq!(short.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body(short).await["fields"].as_array().map(Vec::len), Some(2));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM users").await, 1);
    service.end().await;
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
    assert_eq!(database.applied().await, ["1", "2", "3", "4", "5", "6"]);
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
    for policy in ["check", "off"] {
        app::migrate(&config(&database, &[("APP_MIGRATE", policy)])).await.expect("it starts");
        assert_eq!(database.everything().await, empty, "{policy}");
    }
    app::migrate(&config(&database, &[("APP_MIGRATE", "apply")])).await.expect("it starts");
    assert_eq!(database.applied().await.len(), 6);
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
