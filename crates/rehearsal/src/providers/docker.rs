//! A server in a container, by testcontainers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use testcontainers::bollard::Docker as Engine;
use testcontainers::bollard::models::{HostConfig, PortBinding};
use testcontainers::bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::error::{TestcontainersError, WaitContainerError};
use testcontainers::core::logs::LogFrame;
use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio_util::sync::CancellationToken;

use super::provider::{DEFAULT_MAJOR, Offer, Provider, Request, SandboxError};
use super::sandbox::{Guard, Kept, SUPERUSER, Sandbox};
use crate::context::Environment;
use crate::error::{Error, Result};
pub use crate::postgres::container::OWNER_LABEL;
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;
use crate::process::{self, State};
use crate::target::{Host, Target};

/// How long the engine may take to answer at all. A hung socket would otherwise hold us for minutes.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// How long an image may take to come; the official one has 150 MB.
const PULL_LIMIT: Duration = Duration::from_secs(300);

/// Names one start, so that its container can be found by who does not have its id yet.
const START_LABEL: &str = "rehearsal.start";

/// How long the engine may take to show a container whose creation was given up in the middle.
const CREATION_GRACE: Duration = Duration::from_secs(1);

/// How often it is looked for.
const CREATION_POLL: Duration = Duration::from_millis(50);

/// How long removing a container may take.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);

/// PostgreSQL's port in the container.
const PORT: u16 = 5432;

/// From this major on the image keeps its data one folder higher.
const MAJOR_WITH_NEW_FOLDER: u32 = 18;

/// Above this expected size the data goes to the engine's disk instead of memory.
const MOST_MEMORY: u64 = 1 << 30;

/// Opens the name of a container that the user wants to keep.
const KEPT_PREFIX: &str = "rehearsal-kept-";

/// See `local`: durability is of no use to a server that lives for minutes.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "jit=off",
];

/// See the module.
pub struct Docker {
    host: Option<String>,
}

impl Docker {
    /// Talks to the engine that the environment names.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Self { host: environment.docker_host.clone() }
    }
}

fn unavailable(reason: impl Into<String>, remedy: impl Into<String>) -> SandboxError {
    SandboxError::Unavailable { provider: "docker", reason: reason.into(), remedy: remedy.into() }
}

/// The container engine, if it answers and is one of this machine. `host` is DOCKER_HOST.
///
/// # Errors
/// [`SandboxError::Unavailable`] with what it says.
pub async fn engine(host: Option<&str>) -> Result<Engine, SandboxError> {
    if let Some(scheme) = host.and_then(remote_scheme) {
        return Err(unavailable(
            format!(
                "DOCKER_HOST names an engine by {scheme}://, which may be of another machine: its ports and folders cannot be reached from here"
            ),
            "let DOCKER_HOST name a socket of this machine (unix://…), or choose --provider local",
        ));
    }
    let remedy = "start a Docker engine (or set DOCKER_HOST), or choose --provider local";
    let probe = async {
        let engine = docker_client_instance().await.map_err(|error| error.to_string())?;
        engine.ping().await.map_err(|error| error.to_string())?;
        Ok::<_, String>(engine)
    };
    match tokio::time::timeout(PROBE_LIMIT, probe).await {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(reason)) => Err(unavailable(format!("no container engine answers ({reason})"), remedy)),
        Err(_) => {
            Err(unavailable(format!("the container engine does not answer within {} s", PROBE_LIMIT.as_secs()), remedy))
        }
    }
}

/// The scheme of an address that is no socket of this machine. Our containers publish on the loopback
/// interface and mount folders: both are the engine's, and over a network that is not ours.
fn remote_scheme(host: &str) -> Option<&str> {
    let (scheme, _) = host.split_once("://")?;
    (!matches!(scheme, "unix" | "npipe")).then_some(scheme)
}

/// Makes sure that the engine has the image, by asking its registry if it must.
///
/// # Errors
/// [`SandboxError::Unavailable`] with the registry's words.
pub async fn ensure_image(engine: &Engine, image: &str) -> Result<(), SandboxError> {
    if engine.inspect_image(image).await.is_ok() {
        return Ok(());
    }
    let failed = |reason: String| {
        unavailable(
            format!("image {image} is not here and cannot be pulled ({reason})"),
            format!("load the image into the engine (`docker pull {image}`), or choose --provider local"),
        )
    };
    let options = CreateImageOptionsBuilder::default().from_image(image).build();
    let pull = async {
        let mut progress = engine.create_image(Some(options), None, None);
        while let Some(step) = progress.next().await {
            step.map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    };
    tokio::time::timeout(PULL_LIMIT, pull)
        .await
        .map_err(|_| failed(format!("not within {} s", PULL_LIMIT.as_secs())))?
}

/// The official image of a major version.
#[must_use]
pub fn official_image(major: u32) -> String {
    format!("postgres:{major}")
}

/// Whether the engine has the image already; nothing is pulled. `host` is DOCKER_HOST.
///
/// # Errors
/// [`SandboxError::Unavailable`] when no engine answers.
pub async fn has_image(host: Option<&str>, image: &str) -> Result<bool, SandboxError> {
    let engine = engine(host).await?;
    // An engine that answers a ping and then nothing more does not serve either.
    Ok(matches!(tokio::time::timeout(PROBE_LIMIT, engine.inspect_image(image)).await, Ok(Ok(_))))
}

fn major(request: &Request) -> u32 {
    request.major.or(request.preferred).unwrap_or(DEFAULT_MAJOR)
}

fn image(request: &Request) -> String {
    request.image.clone().unwrap_or_else(|| official_image(major(request)))
}

#[async_trait]
impl Provider for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn offer(&self, request: &Request) -> Result<Offer, SandboxError> {
        let image = image(request);
        let is_here = has_image(self.host.as_deref(), &image).await?;
        let missing = (!is_here).then(|| format!("the first start pulls it; to have it before: docker pull {image}"));
        Ok(Offer { with: format!("the image {image}"), missing })
    }

    async fn start(&self, request: &Request, cancel: &CancellationToken) -> Result<Sandbox> {
        let major = major(request);
        let image = image(request);
        let engine = tokio::select! {
            engine = engine(self.host.as_deref()) => engine?,
            () = cancel.cancelled() => return Err(Error::Interrupted),
        };
        let attempt = Attempt::default();
        let started = tokio::select! {
            started = start(&engine, request, &image, major, &attempt, cancel) => started,
            () = cancel.cancelled() => Err(Error::Interrupted),
        };
        if started.is_err() {
            attempt.give_up(&engine).await;
        }
        started
    }
}

/// One start. What it made is known to nobody when it fails, or is dropped in the middle: the engine goes on
/// with what it was asked for.
struct Attempt {
    name: String,
    began: AtomicBool,
}

impl Default for Attempt {
    fn default() -> Self {
        let letters: String = std::iter::repeat_with(fastrand::alphanumeric).take(16).collect();
        Self { name: letters, began: AtomicBool::new(false) }
    }
}

impl Attempt {
    /// Removes its container, and waits until the engine has none of it.
    async fn give_up(&self, engine: &Engine) {
        if !self.began.load(Ordering::Relaxed) {
            return;
        }
        let label = format!("{START_LABEL}={}", self.name);
        let filters = HashMap::from([("label", vec![label.as_str()])]);
        let began = Instant::now();
        let mut seen = false;
        while began.elapsed() < REMOVE_LIMIT {
            let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
            let Ok(Ok(containers)) = tokio::time::timeout(REMOVE_LIMIT, engine.list_containers(Some(options))).await
            else {
                // The sweep at the next start finds it.
                return;
            };
            if containers.is_empty() && (seen || began.elapsed() > CREATION_GRACE) {
                return;
            }
            for id in containers.into_iter().filter_map(|container| container.id) {
                seen = true;
                remove_container(engine, &id).await;
            }
            tokio::time::sleep(CREATION_POLL).await;
        }
    }
}

async fn start(
    engine: &Engine,
    request: &Request,
    image: &str,
    major: u32,
    attempt: &Attempt,
    cancel: &CancellationToken,
) -> Result<Sandbox> {
    sweep_containers(engine).await;
    ensure_image(engine, image).await?;
    attempt.began.store(true, Ordering::Relaxed);
    let password: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    let start = |log: String| SandboxError::Start { provider: "docker", log };
    let log = LastLine::default();
    let listener = log.clone();
    let (name, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((image, "latest"));
    let on_tmpfs = request.expected_bytes < MOST_MEMORY;
    let settings = SETTINGS.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
    let container = GenericImage::new(name, tag)
        // The entry point starts a server for its own set-up first, and says when that is over.
        .with_wait_for(WaitFor::message_on_stdout("PostgreSQL init process complete"))
        .with_wait_for(WaitFor::message_on_stderr("database system is ready to accept connections"))
        .with_exposed_port(ContainerPort::Tcp(PORT))
        .with_env_var("POSTGRES_USER", SUPERUSER)
        .with_env_var("POSTGRES_PASSWORD", &password)
        // The image would call the maintenance database like the user.
        .with_env_var("POSTGRES_DB", "postgres")
        .with_env_var("POSTGRES_INITDB_ARGS", "--no-sync --wal-segsize=1")
        .with_cmd(settings)
        .with_label(OWNER_LABEL, process::identity())
        .with_label(START_LABEL, &attempt.name)
        .with_startup_timeout(request.start_limit)
        .with_host_config_modifier(move |host| confine(host, on_tmpfs, major))
        .with_log_consumer(move |frame: &LogFrame| listener.hear(frame))
        .start()
        .await
        .map_err(|error| match error {
            TestcontainersError::WaitContainer(WaitContainerError::StartupTimeout) => {
                SandboxError::Slow { provider: "docker", limit: request.start_limit, log: log.get() }
            }
            TestcontainersError::WaitContainer(_) => start(log.get()),
            other => start(first_line(&other.to_string())),
        })?;
    let port = container.get_host_port_ipv4(PORT).await.map_err(|error| start(error.to_string()))?;
    let host = container.get_host().await.map_err(|error| start(error.to_string()))?.to_string();
    // A name may lead to an address family on which the port is not published.
    let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
    let server = Target::sandbox(Host::Tcp(host), port, SUPERUSER, Some(&password), "postgres");
    let session = Session::connect(&server, "sandbox", cancel).await?;
    let version = session.version();
    session.close().await;
    let tools = Tools::Image { image: image.to_owned(), version };
    Ok(Sandbox::new("docker", server, version, tools, Box::new(Container { engine: engine.clone(), container })))
}

/// On the loopback interface only, and in memory where it is small enough.
fn confine(host: &mut HostConfig, on_tmpfs: bool, major: u32) {
    let binding = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: None };
    host.port_bindings = Some(HashMap::from([(format!("{PORT}/tcp"), Some(vec![binding]))]));
    host.publish_all_ports = Some(false);
    host.shm_size = Some(256 << 20);
    if on_tmpfs {
        let folder = if major >= MAJOR_WITH_NEW_FOLDER { "/var/lib/postgresql" } else { "/var/lib/postgresql/data" };
        host.tmpfs = Some(HashMap::from([(folder.to_owned(), "rw".to_owned())]));
    }
}

/// The line of a container's log that tells most: the last one, unless there was a fatal one.
#[derive(Debug, Clone, Default)]
struct LastLine(Arc<Mutex<(bool, String)>>);

impl LastLine {
    fn hear(&self, frame: &LogFrame) {
        let text = String::from_utf8_lossy(frame.bytes());
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let fatal = ["FATAL", "PANIC", "Error:", "error:"].iter().any(|word| line.contains(word));
            if fatal || !last.0 {
                *last = (fatal, line.to_owned());
            }
        }
    }

    fn get(&self) -> String {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.is_empty() { "it logged nothing".into() } else { last.1.clone() }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Removes containers of runs that are gone. Failures are left for another time.
async fn sweep_containers(engine: &Engine) {
    let filters = HashMap::from([("label", vec![OWNER_LABEL])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let Ok(Ok(containers)) = tokio::time::timeout(REMOVE_LIMIT, engine.list_containers(Some(options))).await else {
        return;
    };
    for container in containers {
        let owner = container.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
        let kept = container.names.iter().flatten().any(|name| name.trim_start_matches('/').starts_with(KEPT_PREFIX));
        let abandoned = !kept && owner.is_some_and(|owner| process::state(owner) == State::Gone);
        if let (true, Some(id)) = (abandoned, container.id) {
            remove_container(engine, &id).await;
        }
    }
}

async fn remove_container(engine: &Engine, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    // When it does not work now, the sweep at the next start removes it.
    let _ = tokio::time::timeout(REMOVE_LIMIT, engine.remove_container(id, Some(options))).await;
}

struct Container {
    engine: Engine,
    container: ContainerAsync<GenericImage>,
}

#[async_trait]
impl Guard for Container {
    async fn remove(self: Box<Self>) {
        // When it does not work now, the sweep at the next start removes it.
        let _ = tokio::time::timeout(REMOVE_LIMIT, self.container.rm()).await;
    }

    async fn keep(self: Box<Self>) -> Result<Kept> {
        let id = self.container.id().to_owned();
        // Its label names us as the owner, and the sweep would take it: a label cannot be changed,
        // a name can, and the sweep leaves this one alone.
        let short = id.get(..12).unwrap_or(&id).to_owned();
        let name = format!("{KEPT_PREFIX}{short}");
        let options =
            testcontainers::bollard::query_parameters::RenameContainerOptionsBuilder::default().name(&name).build();
        self.engine
            .rename_container(&id, options)
            .await
            .map_err(|error| SandboxError::Start { provider: "docker", log: error.to_string() })?;
        std::mem::forget(self.container);
        Ok(Kept {
            // In the container the socket asks for no password, so none has to be shown.
            connect: format!("docker exec -it {name} psql -U {SUPERUSER}"),
            remove: format!("docker rm -fv {name}"),
        })
    }
}
