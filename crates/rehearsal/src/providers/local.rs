//! A server of PostgreSQL's own programs on this machine: its own data folder and socket, never the
//! machine's cluster.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

use super::provider::{Offer, Provider, Request, SandboxError};
use super::sandbox::{Guard, Kept, SUPERUSER, Sandbox};
use super::{sweep, template};
use crate::context::Environment;
use crate::error::{Error, Result};
use crate::postgres::parameters;
use crate::postgres::programs::{self, Installation};
use crate::postgres::tools::Tools;
use crate::process;
use crate::target::{Host, Target};

/// How a sandbox's folder is called; the sweep looks for it.
pub(super) const FOLDER_PREFIX: &str = "rehearsal-sandbox-";

/// The longest path a Unix socket can have (sun_path in unix(7), less the final NUL).
const LONGEST_SOCKET_PATH: usize = 107;

/// The socket's number; every sandbox has a folder of its own.
const PORT: u16 = 5432;

/// How often the start is looked at.
const START_POLL: Duration = Duration::from_millis(2);

/// How long a server may take to end before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Free memory that is left alone when a sandbox goes to /dev/shm.
pub(crate) const RESERVE: u64 = 1 << 30;

/// What a database takes while it is dumped, restored and compared, as a multiple of its size.
pub(crate) const ROOM_FACTOR: u64 = 5;

/// Durability is of no use to a server that lives for minutes; everything else stays as it is
/// elsewhere, so that what is measured means something.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "logging_collector=off",
    "jit=off",
    "cluster_name=rehearsal",
    // In the data folder, which goes with us, and not as files of its own in /dev/shm.
    "dynamic_shared_memory_type=mmap",
];

/// An unprivileged account, which PostgreSQL insists on.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// See the module.
pub struct Local {
    installations: Vec<Installation>,
    environment: Environment,
}

impl Local {
    /// Looks for programs.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Self {
            installations: programs::find(&environment.program_folders, &environment.path),
            environment: environment.clone(),
        }
    }

    pub(super) fn with_installation(installation: Installation, environment: &Environment) -> Self {
        Self { installations: vec![installation], environment: environment.clone() }
    }

    /// The newest that fits: the major that must be, else the one that is preferred, else any.
    fn choose(&self, request: &Request) -> Result<&Installation, SandboxError> {
        let mut servers = self.installations.iter().filter(|installation| installation.has_server);
        let of = |major: u32| servers.clone().find(|installation| installation.version.major == major);
        let found = match (request.major, request.preferred) {
            (Some(major), _) => of(major),
            (None, Some(major)) => of(major).or_else(|| servers.next()),
            (None, None) => servers.next(),
        };
        found.ok_or_else(|| {
            let versions: Vec<String> = self
                .installations
                .iter()
                .filter(|installation| installation.has_server)
                .map(|installation| installation.version.to_string())
                .collect();
            let wanted = request.major.map_or_else(String::new, |major| format!(" {major}"));
            let found = if versions.is_empty() { "none".into() } else { versions.join(", ") };
            SandboxError::Unavailable {
                provider: "local",
                reason: format!("no PostgreSQL{wanted} server programs on this machine (found: {found})"),
                remedy: format!(
                    "install them (Debian: apt-get install postgresql{}), or name their folder in `postgres.programs`",
                    request.major.map_or_else(String::new, |major| format!("-{major}"))
                ),
            }
        })
    }

    /// Memory where it suffices, else the temporary folder.
    fn base(&self, request: &Request) -> PathBuf {
        let needed = request.expected_bytes.saturating_mul(ROOM_FACTOR).saturating_add(RESERVE);
        let memory = Path::new("/dev/shm");
        let fits = rustix::fs::statvfs(memory).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= needed)
            && available_memory().is_some_and(|available| available / 2 >= needed);
        if fits { memory.into() } else { self.environment.temporary.clone() }
    }
}

/// `MemAvailable` of /proc/meminfo, in bytes.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[async_trait]
impl Provider for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn offer(&self, request: &Request) -> Result<Offer, SandboxError> {
        let Installation { folder, version, .. } = self.choose(request)?;
        Ok(Offer { with: format!("PostgreSQL {version} of {}", folder.display()), missing: None })
    }

    async fn start(&self, request: &Request, cancel: &CancellationToken) -> Result<Sandbox> {
        let installation = self.choose(request)?.clone();
        let base = self.base(request);
        let cache = self.environment.cache.clone();
        sweep::folders(&[Path::new("/dev/shm"), &self.environment.temporary]);
        let limit = request.start_limit;
        let stop = cancel.clone();
        // Copying and polling are blocking work of some 100 ms.
        let started = tokio::task::spawn_blocking(move || Server::start(&installation, &base, &cache, limit, &stop));
        let server =
            started.await.map_err(|error| SandboxError::Start { provider: "local", log: error.to_string() })??;
        let target = Target::sandbox(Host::Socket(server.folder.clone()), PORT, SUPERUSER, None, "postgres");
        let version = server.installation.version;
        let tools = Tools::Host(server.installation.clone());
        Ok(Sandbox::new("local", target, version, tools, Box::new(server)))
    }
}

/// A running postmaster and its folder. Dropping it ends both.
struct Server {
    installation: Installation,
    folder: PathBuf,
    account: Option<Account>,
    pid: Option<Pid>,
    ended: Mutex<Receiver<std::io::Result<ExitStatus>>>,
}

impl Server {
    fn start(
        installation: &Installation,
        base: &Path,
        cache: &Path,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let account = unprivileged_account()?;
        let template = template::ensure(installation, cache, base, account.as_ref())?;
        let folder = tempfile::Builder::new()
            .prefix(FOLDER_PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(base)
            .map_err(Error::io("create a folder in", base))?
            .keep();
        let (sender, ended) = channel();
        // From here on a drop cleans up.
        let mut server = Self {
            installation: installation.clone(),
            folder: folder.clone(),
            account,
            pid: None,
            ended: Mutex::new(ended),
        };
        sweep::claim(&folder)?;
        let socket = folder.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(SandboxError::Start {
                provider: "local",
                log: format!("the path {} is too long for a socket; set TMPDIR to a shorter one", socket.display()),
            }
            .into());
        }
        if let Some(account) = &server.account {
            chown(&folder, Some(account.uid), Some(account.gid)).map_err(Error::io("hand over", &folder))?;
        }
        template::copy(&template, &folder.join("data"), server.account.as_ref())?;
        server.spawn(sender, true)?;
        server.wait_until_ready(limit, cancel)?;
        Ok(server)
    }

    /// Starts `postgres` from a thread of its own: the death signal follows the thread that spawns,
    /// not the process.
    fn spawn(
        &mut self,
        sender: std::sync::mpsc::Sender<std::io::Result<ExitStatus>>,
        dies_with_us: bool,
    ) -> Result<()> {
        let program = self.installation.folder.join("postgres");
        let log = self.folder.join("server.log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).map_err(Error::io("write", &log))?;
        let mut command = Command::new(&program);
        command.arg("-D").arg(self.folder.join("data"));
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        command
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.folder.display()))
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            // Its own group: Ctrl-C is for us, and we end it when we are done with it.
            .process_group(0);
        become_account(&mut command, self.account.as_ref());
        if dies_with_us {
            die_with_parent(&mut command);
        }
        let (started, start) = channel();
        std::thread::spawn(move || {
            let spawned = command.spawn();
            let child = match spawned {
                Ok(child) => {
                    let _ = started.send(Ok(child.id()));
                    child
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let mut child = child;
            let _ = sender.send(child.wait());
        });
        let id = start.recv().unwrap_or_else(|_| Err(std::io::Error::other("its thread ended"))).map_err(|error| {
            SandboxError::Start { provider: "local", log: format!("{}: {error}", program.display()) }
        })?;
        self.pid = Pid::from_raw(id.cast_signed());
        Ok(())
    }

    /// Line 8 of postmaster.pid says `ready` (PostgreSQL 10 and later, miscadmin.h).
    fn wait_until_ready(&mut self, limit: Duration, cancel: &CancellationToken) -> Result<()> {
        let deadline = Instant::now() + limit;
        let file = self.folder.join("data/postmaster.pid");
        loop {
            let ready = fs::read_to_string(&file)
                .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"));
            if ready {
                return Ok(());
            }
            if cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            if Instant::now() > deadline {
                return Err(SandboxError::Slow { provider: "local", limit, log: self.last_log_line() }.into());
            }
            match self.ended_within(START_POLL) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => {
                    self.pid = None;
                    return Err(SandboxError::Start { provider: "local", log: self.last_log_line() }.into());
                }
            }
        }
    }

    fn ended_within(&self, limit: Duration) -> Result<std::io::Result<ExitStatus>, RecvTimeoutError> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(limit)
    }

    fn last_log_line(&self) -> String {
        let lines = fs::File::open(self.folder.join("server.log"))
            .map(|file| BufReader::new(file).lines().map_while(std::io::Result::ok).collect::<Vec<_>>())
            .unwrap_or_default();
        let telling = lines.iter().rev().find(|line| line.contains("FATAL") || line.contains("PANIC"));
        telling.or(lines.last()).cloned().unwrap_or_else(|| "it logged nothing".into())
    }

    /// Ends the server: `signal` first, and SIGKILL when that is not enough.
    fn end(&mut self, signal: Signal) {
        let Some(pid) = self.pid.take() else { return };
        let _ = kill_process(pid, signal);
        if matches!(self.ended_within(STOP_LIMIT), Err(RecvTimeoutError::Timeout)) {
            let _ = kill_process(pid, Signal::KILL);
            let _ = self.ended_within(STOP_LIMIT);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGQUIT: immediate shutdown. There is nothing to save.
        self.end(Signal::QUIT);
        if !self.folder.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

#[async_trait]
impl Guard for Server {
    async fn remove(self: Box<Self>) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// The server was started to die with us: it is ended in good order and started again without that.
    async fn keep(mut self: Box<Self>) -> Result<Kept> {
        let kept = tokio::task::spawn_blocking(move || {
            self.end(Signal::INT);
            let (sender, ended) = channel();
            self.ended = Mutex::new(ended);
            self.spawn(sender, false)?;
            self.wait_until_ready(STOP_LIMIT, &CancellationToken::new())?;
            sweep::mark_kept(&self.folder)?;
            let pid = self.pid.take().map_or(0, |pid| pid.as_raw_nonzero().get());
            let folder = std::mem::take(&mut self.folder);
            Ok(Kept {
                connect: format!("psql -h {} -U {SUPERUSER}", folder.display()),
                remove: format!("kill -QUIT {pid}; rm -r {}", folder.display()),
            })
        });
        kept.await.map_err(|error| SandboxError::Start { provider: "local", log: error.to_string() })?
    }
}

/// `postgres` refuses to run as root: the account of that name, else `nobody`.
fn unprivileged_account() -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let path = Path::new("/etc/passwd");
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let account = |name: &str| {
        text.lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name))
            .and_then(|fields| Some(Account { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? }))
    };
    let found = account("postgres").or_else(|| account("nobody"));
    found.map(Some).ok_or_else(|| {
        SandboxError::Unavailable {
            provider: "local",
            reason: "postgres does not run as root, and there is no account `postgres` or `nobody`".into(),
            remedy: "run the command as an ordinary user".into(),
        }
        .into()
    })
}

/// Makes a command run as that account, with none of root's groups and none of the user's variables.
pub(super) fn become_account(command: &mut Command, account: Option<&Account>) {
    // The server's programs read libpq's variables as well: what the user's shell says of other
    // servers (a date style, a time zone) would be this one's default.
    for variable in parameters::not_inherited(true) {
        command.env_remove(variable);
    }
    if let Some(account) = account {
        // std drops the supplementary groups when root changes the uid.
        command.uid(account.uid).gid(account.gid);
    }
}

#[expect(unsafe_code, reason = "pre_exec is the only way to run something between fork and exec")]
fn die_with_parent(command: &mut Command) {
    // SAFETY: what is run there is one system call, as its own words say.
    unsafe {
        command.pre_exec(process::die_with_parent(Signal::QUIT));
    }
}
