//! A server with another one that follows it: streaming replication between two local servers, which
//! are nobody else's, so that no other test waits for what is done to them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rehearsal::event::Emitter;
use rehearsal::postgres::tools::Tools;
use rehearsal::providers::{self, Choice, Request, Sandbox};
use rehearsal::target::{Host, Target};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::server::{environment, server};
use crate::wait::until;

/// What the standby calls itself.
pub const NAME: &str = "follower";

/// Both servers; they end when this does.
pub struct Pair {
    primary: Option<Sandbox>,
    standby: Child,
    folder: TempDir,
}

impl Pair {
    /// Starts both, and waits until one follows the other. Nothing, and a word about it, where servers
    /// come from images.
    ///
    /// # Panics
    /// When one of them does not start.
    pub async fn start(test: &str) -> Option<Self> {
        if server().provider() != "local" {
            crate::docker::skipped(test, "its standby needs programs of this machine");
            return None;
        }
        let request = Request {
            major: None,
            preferred: None,
            image: None,
            start_limit: Duration::from_secs(60),
            expected_bytes: 64 << 20,
        };
        let primary =
            providers::start(Choice::Local, &request, &environment(), &Emitter::default(), &CancellationToken::new())
                .await
                .unwrap_or_else(|error| panic!("no primary: {error}"));
        let folder = tempfile::tempdir().expect("a folder");
        let standby = follow(&primary, folder.path());
        let pair = Self { primary: Some(primary), standby, folder };
        until("the standby follows", async || {
            let mut connection = connect(&pair.primary()).await?;
            let followers = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            let count: i64 = sqlx::query_scalar(followers).fetch_one(&mut connection).await.ok()?;
            (count == 1 && connect(&pair.standby()).await.is_some()).then_some(())
        })
        .await;
        Some(pair)
    }

    /// A database of the first one.
    ///
    /// # Panics
    /// After its end.
    #[must_use]
    pub fn primary(&self) -> Target {
        self.primary.as_ref().expect("it has not ended").database("postgres")
    }

    /// Runs SQL on the one that follows.
    ///
    /// # Panics
    /// When it does not take it.
    pub async fn on_standby(&self, sql: &str) {
        let mut connection = connect(&self.standby()).await.expect("the standby answers");
        let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Ends both.
    ///
    /// # Panics
    /// After its end.
    pub async fn end(mut self) {
        self.primary.take().expect("it has not ended").remove().await;
    }

    fn standby(&self) -> Target {
        let socket = |target: &Target| match target.host() {
            Host::Socket(folder) => folder.display().to_string(),
            Host::Tcp(host) => panic!("a local server at {host}"),
        };
        let primary = self.primary();
        let folder = self.folder.path().display().to_string();
        let url = primary.sandbox_url().replace(&socket(&primary), &folder);
        Target::from_url("standby", &url).expect("a URL")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // An immediate shutdown: killed, it would leave its shared memory behind.
        if let Some(pid) = Pid::from_raw(self.standby.id().cast_signed()) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = self.standby.wait();
    }
}

/// Copies the primary into `folder`, and starts a server on the copy that goes on from there.
fn follow(primary: &Sandbox, folder: &Path) -> Child {
    let Tools::Host(installation) = primary.tools() else { panic!("a local server has local programs") };
    let target = primary.database("postgres");
    let Host::Socket(socket) = target.host() else { panic!("a local server has a socket") };
    let owner = std::fs::metadata(socket).expect("the socket's folder");
    chown(folder, Some(owner.uid()), Some(owner.gid())).expect("it can be given away");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).expect("the mode can be set");
    let data = folder.join("data");
    let environment = target.libpq_environment(NAME);
    let program = |name: &str| {
        let mut command = Command::new(installation.folder.join(name));
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(environment.iter().cloned());
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command
    };
    let copied = program("pg_basebackup")
        .args(["--checkpoint=fast", "--write-recovery-conf", "--pgdata"])
        .arg(&data)
        .status()
        .expect("pg_basebackup can be started");
    assert!(copied.success(), "the primary can be copied: {copied}");
    let connection = format!("host={} user={} application_name={NAME}", socket.display(), user(&environment));
    let setting = |setting: String| ["-c".to_owned(), setting];
    program("postgres")
        .arg("-D")
        .arg(&data)
        .args(setting(format!("unix_socket_directories={}", folder.display())))
        .args(setting("listen_addresses=".into()))
        .args(setting("fsync=off".into()))
        .args(setting(format!("primary_conninfo={connection}")))
        .spawn()
        .expect("postgres can be started")
}

fn user(environment: &[(String, String)]) -> &str {
    let user = environment.iter().find(|(variable, _)| variable == "PGUSER");
    user.map_or("", |(_, user)| user.as_str())
}

async fn connect(target: &Target) -> Option<PgConnection> {
    target.connect_options("test").disable_statement_logging().connect().await.ok()
}
