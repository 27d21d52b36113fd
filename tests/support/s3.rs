//! An S3 server of a test's own, with a layer of faults in front. The server is s3s, a real one, over a folder.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::project::Project;

/// The bucket that is there.
pub const BUCKET: &str = "bucket";

const KEY: &str = "rehearsal-test-key";

/// Must show nowhere.
pub const SECRET: &str = "rehearsal-test-secret";

/// What goes wrong with a request that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `500 InternalError`
    Fails,
    /// `503 SlowDown`
    SlowDown,
    /// `200`, and an error in the answer
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>).
    FailsInsideSuccess,
    /// The connection ends without an answer.
    Cut,
    /// Nothing is answered for a while.
    Waits(Duration),
    /// `403 AccessDenied`
    Denied,
}

/// Which requests are meant, and how often.
struct Rule {
    method: &'static str,
    needle: &'static str,
    times: usize,
    fault: Fault,
}

/// See the module. Gone when dropped.
pub struct S3 {
    folder: TempDir,
    address: String,
    rules: Arc<Mutex<Vec<Rule>>>,
    seen: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl S3 {
    /// Starts one with an empty bucket.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("rehearsal-s3-").expect("a folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let service = {
            let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("a store"));
            builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
            builder.build()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (rules, seen) = (Arc::<Mutex<Vec<Rule>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (their_rules, their_seen) = (Arc::clone(&rules), Arc::clone(&seen));
        let serving = tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let (service, rules, seen) = (service.clone(), Arc::clone(&their_rules), Arc::clone(&their_seen));
                let answer = service_fn(move |mut request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    let fault = meant(&rules, &line);
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    let service = service.clone();
                    async move {
                        if !matches!(fault, None | Some(Fault::Waits(_) | Fault::Cut)) {
                            // A server that answers before it has read makes some clients see a cut.
                            drain(request.body_mut()).await;
                        }
                        match fault {
                            None => {}
                            Some(Fault::Waits(time)) => tokio::time::sleep(time).await,
                            Some(Fault::Cut) => return Err(std::io::Error::other("cut")),
                            Some(Fault::Fails) => return Ok(error(500, "InternalError")),
                            Some(Fault::SlowDown) => return Ok(error(503, "SlowDown")),
                            Some(Fault::Denied) => return Ok(error(403, "AccessDenied")),
                            Some(Fault::FailsInsideSuccess) => return Ok(error(200, "InternalError")),
                        }
                        Service::call(&service, request)
                            .await
                            .map_err(|error| std::io::Error::other(format!("{error:?}")))
                    }
                });
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { drop(serving.serve_connection(TokioIo::new(socket), answer).await) });
            }
        });
        Self { folder, address, rules, seen, serving }
    }

    /// From now on, so many requests of that method whose URI contains the needle go wrong.
    pub fn breaks(&self, method: &'static str, needle: &'static str, times: usize, fault: Fault) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.push(Rule { method, needle, times, fault });
    }

    /// Everything works again.
    pub fn mends(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many requests of that method with the needle in their URI have come.
    #[must_use]
    pub fn requests(&self, method: &str, needle: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|line| line.starts_with(method) && line.contains(needle)).count()
    }

    /// The project's backups go to this bucket.
    #[must_use]
    pub fn serves(&self, project: Project) -> Project {
        project
            .variable("AWS_ENDPOINT_URL", &format!("http://{}", self.address))
            .variable("AWS_ALLOW_HTTP", "true")
            .variable("AWS_REGION", "us-east-1")
            .variable("AWS_ACCESS_KEY_ID", KEY)
            .variable("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    /// The folder behind the bucket.
    #[must_use]
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// Its objects, by their keys, sorted.
    #[must_use]
    pub fn objects(&self) -> Vec<String> {
        let mut found = Vec::new();
        below(&self.bucket(), &self.bucket(), &mut found);
        found.sort();
        found
    }

    /// Files of uploads in parts that were neither completed nor aborted.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the store is read");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.starts_with(".upload")).collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn below(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the bucket is read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            below(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).expect("below").display().to_string());
        }
    }
}

fn meant(rules: &Mutex<Vec<Rule>>, line: &str) -> Option<Fault> {
    let mut rules = rules.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |rule: &&mut Rule| {
        rule.times > 0 && line.starts_with(&format!("{} ", rule.method)) && line.contains(rule.needle)
    };
    let rule = rules.iter_mut().find(fits)?;
    rule.times -= 1;
    Some(rule.fault)
}

async fn drain(body: &mut Incoming) {
    while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {}
}

fn error(status: u16, code: &str) -> Response<s3s::Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>as asked</Message></Error>"
    );
    let mut response = Response::new(s3s::Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}
