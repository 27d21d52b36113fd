//! The server of this test process: started when a test first asks for it, by the library's own
//! provider, and removed when the process ends.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rehearsal::backup::repository::options::StoreOptions;
use rehearsal::context::Environment;
use rehearsal::event::Emitter;
use rehearsal::postgres::programs;
use rehearsal::providers::{self, Choice, Request, Sandbox};
use rehearsal::target::{Host, Target};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::database;

/// Chooses where the server comes from: `local` or `docker`.
pub const PROVIDER_VARIABLE: &str = "REHEARSAL_TEST_PROVIDER";

/// Members of this role are asked for a password, whatever the server trusts its socket with.
pub const PASSWORD_ROLE: &str = "asked_for_a_password";

/// About what all tests together keep in their databases.
const EXPECTED_BYTES: u64 = 512 << 20;

/// How long the start may take; the first one makes the template as well.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    provider: &'static str,
    maintenance: Target,
    runtime: Runtime,
    sandbox: Mutex<Option<Sandbox>>,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// The server of this process.
///
/// # Panics
/// When it cannot be started.
pub fn server() -> &'static Server {
    // A thread of its own: the test that comes first may be inside of a runtime already.
    SERVER.get_or_init(|| std::thread::spawn(start).join().expect("the tests' server starts"))
}

impl Server {
    /// `local` or `docker`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// Its superuser on one of its databases.
    #[must_use]
    pub fn database(&self, name: &str) -> Target {
        self.maintenance.with_database(name)
    }
}

/// What the library is told of this machine.
#[must_use]
pub fn environment() -> Environment {
    let path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let home = std::env::home_dir().unwrap_or_else(std::env::temp_dir);
    Environment {
        path,
        program_folders: Vec::new(),
        cache: std::env::var_os("REHEARSAL_CACHE").map_or_else(|| home.join(".cache/rehearsal"), PathBuf::from),
        temporary: std::env::temp_dir(),
        docker_host: std::env::var("DOCKER_HOST").ok(),
        object_stores: StoreOptions::default(),
        age_identities: None,
    }
}

fn choice(environment: &Environment) -> Choice {
    match std::env::var(PROVIDER_VARIABLE).as_deref() {
        Ok("local") => Choice::Local,
        Ok("docker") => Choice::Docker,
        Ok(other) => panic!("{PROVIDER_VARIABLE} is `{other}`, and must be local or docker"),
        Err(_) if programs::find(&[], &environment.path).iter().any(|found| found.has_server) => Choice::Local,
        Err(_) => Choice::Docker,
    }
}

/// Another server, for a test that does to it what others must not see. It goes when it is dropped.
///
/// # Panics
/// When it cannot be started.
pub async fn another() -> Sandbox {
    start_one(choice(&environment()), None).await
}

/// A server of that major version, out of its image.
///
/// # Panics
/// When it cannot be started.
pub async fn of_major(major: u32) -> Sandbox {
    start_one(Choice::Docker, Some(major)).await
}

async fn start_one(choice: Choice, major: Option<u32>) -> Sandbox {
    let environment = environment();
    let request =
        Request { major, preferred: None, image: None, start_limit: START_LIMIT, expected_bytes: EXPECTED_BYTES };
    let (events, cancel) = (Emitter::default(), CancellationToken::new());
    providers::start(choice, &request, &environment, &events, &cancel)
        .await
        .unwrap_or_else(|error| panic!("no server for the tests: {error}"))
}

fn start() -> Server {
    remove_at_exit();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (sandbox, maintenance) = runtime.block_on(async {
        let sandbox = another().await;
        let maintenance = sandbox.database("postgres");
        database::execute(&maintenance, &format!("CREATE ROLE {PASSWORD_ROLE} NOLOGIN")).await;
        ask_for_passwords(&maintenance).await;
        (sandbox, maintenance)
    });
    Server { provider: sandbox.provider(), maintenance, runtime, sandbox: Mutex::new(Some(sandbox)) }
}

/// The local provider trusts everybody who gets at its socket. Some tests need a wrong password.
async fn ask_for_passwords(maintenance: &Target) {
    let Host::Socket(folder) = maintenance.host() else { return };
    let file = folder.join("data/pg_hba.conf");
    let trusting = std::fs::read_to_string(&file).expect("pg_hba.conf can be read");
    std::fs::write(&file, format!("local all +{PASSWORD_ROLE} scram-sha-256\n{trusting}"))
        .expect("pg_hba.conf can be written");
    database::execute(maintenance, "SELECT pg_reload_conf()").await;
}

/// Statics are not dropped when a process ends, so the C library is asked to call us. A process that
/// is killed leaves its server to the sweep of the next start.
#[expect(unsafe_code, reason = "atexit is the only way to hear of the end of a test process")]
fn remove_at_exit() {
    extern "C" fn remove() {
        // The main thread's thread-locals are gone by now: the work needs another thread.
        let _ = std::thread::spawn(|| {
            let Some(server) = SERVER.get() else { return };
            let sandbox = server.sandbox.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(sandbox) = sandbox {
                server.runtime.block_on(sandbox.remove());
            }
        })
        .join();
    }
    // SAFETY: atexit(3) takes a function that lives as long as the program, and this one is a static
    // item that does not unwind: a panic ends with its own thread.
    let registered = unsafe { libc::atexit(remove) };
    assert_eq!(registered, 0, "the end of the process can be heard of");
}
