//! A server of a test's own that listens on TCP, as the tests' own server does not: with TLS, or as a
//! standby. Its log tells how everybody came in.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rehearsal::postgres::programs;
use rehearsal::target::{Host, Target};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::certificates::Signed;
use crate::wait::until;
use crate::{database, docker, pooler};

/// Who may come in, and how.
const RULES: &str = "local all all trust
hostssl all certified all cert
hostssl all secured all scram-sha-256
hostnossl all plain all scram-sha-256
host all postgres all trust
host all asked@server all scram-sha-256
";

/// A server; it ends when it is dropped.
pub struct Listening {
    child: Child,
    folder: TempDir,
    port: u16,
}

/// What it is to be.
#[derive(Default)]
pub struct Wanted<'a> {
    /// Its certificate, and the one of the authority that signs its clients'.
    pub tls: Option<(&'a Signed, &'a Path)>,
    /// It can only be read.
    pub standby: bool,
    /// Settings beside the usual ones, `NAME=VALUE`.
    pub settings: &'a [&'a str],
}

/// The server programs of this machine, or a word that the test is skipped.
#[must_use]
pub fn programs(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = programs::find(&[], &path).into_iter().find(|found| found.has_server).map(|found| found.folder);
    if found.is_none() {
        docker::skipped(test, "PostgreSQL's server programs are not installed");
    }
    found
}

impl Listening {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(programs: &Path, wanted: Wanted<'_>) -> Self {
        let folder = TempDir::with_prefix("rehearsal-listening-").expect("a folder");
        hand_over(folder.path());
        let data = folder.path().join("data");
        let initdb = program(programs, "initdb", folder.path())
            .args(["--username=postgres", "--no-sync", "--auth=trust", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .expect("initdb can be started");
        assert!(initdb.success(), "initdb fails");
        std::fs::write(data.join("pg_hba.conf"), RULES).expect("it can be written");
        if wanted.standby {
            std::fs::write(data.join("standby.signal"), "").expect("it can be written");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        let mut settings = vec![
            format!("port={port}"),
            format!("unix_socket_directories={}", folder.path().display()),
            "listen_addresses=127.0.0.1,::1".into(),
            "log_connections=on".into(),
            "fsync=off".into(),
        ];
        settings.extend(wanted.settings.iter().map(|&setting| setting.to_owned()));
        if let Some((signed, authority)) = wanted.tls {
            for (name, setting, path) in [
                ("server.crt", "ssl_cert_file", signed.certificate.as_path()),
                ("server.key", "ssl_key_file", &signed.key),
                ("authority.crt", "ssl_ca_file", authority),
            ] {
                let copy = data.join(name);
                std::fs::copy(path, &copy).expect("it can be copied");
                hand_over(&copy);
                settings.push(format!("{setting}={name}"));
            }
            settings.push("ssl=on".into());
        }
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let child = program(programs, "postgres", folder.path())
            .arg("-D")
            .arg(&data)
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres can be started");
        let server = Self { child, folder, port };
        until("the server is ready", async || {
            let state = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
            // Line 8 (miscadmin.h); a standby says so in its own words.
            matches!(state.lines().nth(7)?.trim(), "ready" | "standby").then_some(())
        })
        .await;
        server
    }

    /// Its port, on 127.0.0.1, and on ::1 where there is IPv6.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// Its superuser on one of its databases, by the socket.
    #[must_use]
    pub fn database(&self, name: &str) -> Target {
        Target::sandbox(Host::Socket(self.folder.path().into()), self.port, "postgres", None, name)
    }

    /// Makes a database that belongs to a new role.
    pub async fn create(&self, database: &str, role: &str, password: &str) {
        let password = password.replace('\'', "''");
        for sql in [
            format!("CREATE ROLE \"{role}\" LOGIN PASSWORD E'{}'", password.replace('\\', "\\\\")),
            format!("CREATE DATABASE {database} OWNER \"{role}\""),
        ] {
            database::execute(&self.database("postgres"), &sql).await;
        }
    }

    /// How the sessions of the command came in since it was last asked for: `application true` with TLS.
    ///
    /// # Panics
    /// When its log cannot be read.
    #[must_use]
    pub fn sessions(&self, user: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).expect("its log is read");
        let lines = log.lines().filter(|line| line.contains(&format!("connection authorized: user={user} ")));
        let mut sessions: Vec<String> = lines
            .filter_map(|line| {
                let application = line.split("application_name=").nth(1)?.split(' ').next()?;
                Some(format!("{application} {}", if line.contains("SSL enabled") { "TLS" } else { "plain" }))
            })
            .collect();
        sessions.sort();
        sessions.dedup();
        sessions
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // An immediate shutdown: killed, it would leave its shared memory behind.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = self.child.wait();
    }
}

/// `postgres` refuses to run as root.
fn program(programs: &Path, name: &str, folder: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    if rustix::process::geteuid().is_root() {
        let (user, group) = pooler::account();
        command.uid(user).gid(group);
    }
    command.current_dir(folder).env("LC_ALL", "C");
    command
}

fn hand_over(path: &Path) {
    if rustix::process::geteuid().is_root() {
        let (user, group) = pooler::account();
        chown(path, Some(user), Some(group)).expect("it can be given away");
    }
}
