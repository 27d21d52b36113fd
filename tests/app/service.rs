//! The service as a test sees it: started on a database of the test's own, and asked by browsers.

use std::net::SocketAddr;
use std::time::Duration;

use app::Config;
use rehearsal_tests::Database;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long an answer, or the end of the service, may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Everybody's.
pub const PASSWORD: &str = "long enough";

/// What opens the routes of administrators.
pub const ADMIN_TOKEN: &str = "the-token-of-the-administrators-of-tests";

/// A running service.
pub struct Service {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), String>>,
}

/// The settings of a test's service, and more of them or other ones.
pub fn config(database: &Database, more: &[(&str, &str)]) -> Config {
    let url = database.url();
    let usual = [
        ("DATABASE_URL", url.as_str()),
        ("APP_MIGRATE", "apply"),
        // The tests talk plain HTTP.
        ("APP_SECURE_COOKIES", "false"),
        ("APP_ADMIN_TOKEN", ADMIN_TOKEN),
        ("APP_BASE_DOMAIN", "example.com"),
    ];
    Config::from_lookup(|name| {
        let found = more.iter().chain(&usual).find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned()).ok_or(std::env::VarError::NotPresent)
    })
    .expect("the settings are right")
}

impl Service {
    /// As the program's `main` does: the schema first, then the socket.
    pub async fn start(database: &Database) -> Self {
        Self::start_with(database, &[]).await
    }

    /// The same, with other settings.
    pub async fn start_with(database: &Database, settings: &[(&str, &str)]) -> Self {
        let config = config(database, settings);
        app::migrate(&config).await.expect("it brings the schema up to date");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap_or_default() };
            app::serve(config, listener, shutdown).await.map_err(|error| format!("{error:#}"))
        });
        Self { address, stop, task }
    }

    /// Stops it as a signal does.
    pub async fn end(self) {
        self.stop.send(()).expect("it is still there");
        let ended = tokio::time::timeout(LIMIT, self.task).await;
        ended.expect("it ends in time").expect("it does not panic").expect("it ends well");
    }

    /// A browser of its own, that shows redirects instead of following them.
    pub fn browser(&self) -> Browser {
        // Wanted before the first client is made, also for plain HTTP; the second time is refused.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .cookie_store(true)
            .redirect(redirect::Policy::none())
            .timeout(LIMIT)
            .build()
            .expect("a client");
        Browser { client, root: format!("http://{}", self.address) }
    }

    /// A browser in which a new user of that name has signed up and logged in.
    pub async fn browser_of(&self, username: &str) -> Browser {
        let browser = self.browser();
        browser.sign_up(username).await;
        let answer = browser.post("/log-in", json!({ "username": username, "password": PASSWORD })).await;
        assert_eq!(answer.status(), StatusCode::OK);
        browser
    }
}

/// Keeps cookies, as people's browsers do.
pub struct Browser {
    client: Client,
    root: String,
}

impl Browser {
    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.root))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.request(Method::POST, path).json(&body).send().await.expect("an answer")
    }

    pub async fn put(&self, path: &str, body: Value) -> Response {
        self.request(Method::PUT, path).json(&body).send().await.expect("an answer")
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.expect("an answer")
    }

    /// What is shown at a path.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        body(answer).await
    }

    /// What became of something new.
    pub async fn create(&self, path: &str, input: Value) -> Value {
        let answer = self.post(path, input).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
        body(answer).await
    }

    /// A new account of that username, at example.com.
    pub async fn sign_up(&self, username: &str) -> Value {
        let email = format!("{username}@example.com");
        let input = json!({ "email": email, "username": username, "name": "New", "password": PASSWORD });
        self.create("/sign-up", input).await
    }
}

/// The JSON of an answer.
pub async fn body(answer: Response) -> Value {
    answer.json().await.expect("JSON")
}

/// Where a redirect leads to.
pub fn leads_to(answer: &Response) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "a redirect");
    answer.headers()["location"].to_str().expect("a path")
}

/// The values of one field in a list.
pub fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    list.as_array().expect("a list").iter().map(|entry| &entry[field]).collect()
}
