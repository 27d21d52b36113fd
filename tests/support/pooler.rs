//! A real connection pooler in front of the tests' server: pgbouncer in transaction mode, with one
//! server session that all of its clients take turns with.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rehearsal::target::Host;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use tempfile::TempDir;

use crate::database::Database;
use crate::server::server;
use crate::wait::until;

/// Where it is, beside `PATH`: Debian puts it where only root looks.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// `nobody` on every Linux.
const NOBODY: u32 = 65_534;

/// How long it is given for a connection to the server.
const ANSWER: Duration = Duration::from_secs(20);

/// A pooler; it ends when it is dropped.
pub struct Pooler {
    port: u16,
    child: Child,
    folder: TempDir,
}

/// pgbouncer's program, or a word that the test is skipped.
///
/// # Panics
/// On CI, where it must be there.
pub fn program(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "pgbouncer is not installed");
    if found.is_none() {
        crate::docker::skipped(test, "pgbouncer is not installed");
    }
    found
}

impl Pooler {
    /// Starts one. `ignored` are the settings of a client's start that it swallows without a word; all
    /// others that it does not know it refuses.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(program: &Path, ignored: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        let config = folder.path().join("pgbouncer.ini");
        write!(
            std::fs::File::create(&config).expect("a file"),
            "[databases]\n* = {}\n\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 1\nmax_client_conn = 50\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             ignore_startup_parameters = {ignored}\nlogfile = {}\n",
            place(),
            folder.path().join("log").display()
        )
        .expect("it can be written");
        let mut command = Command::new(program);
        if rustix::process::geteuid().is_root() {
            // It refuses to run as the superuser.
            use std::os::unix::process::CommandExt;
            let (user, group) = account();
            for path in [folder.path(), config.as_path()] {
                chown(path, Some(user), Some(group)).expect("it can be given away");
            }
            command.uid(user).gid(group);
        }
        let child = command
            .arg("--quiet")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer can be started");
        let pooler = Self { port, child, folder };
        until("the pooler answers", async || {
            tokio::time::timeout(ANSWER, PgConnection::connect(&pooler.address("postgres"))).await.ok()?.ok()
        })
        .await;
        pooler
    }

    /// The URL of a database through it.
    #[must_use]
    pub fn url(&self, database: &Database) -> String {
        self.address(database.name())
    }

    /// What a client of it sees next, in the session that the last one had.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn next_client_sees(&self, database: &Database, sql: &str) -> Vec<String> {
        let mut client = PgConnection::connect(&self.url(database)).await.expect("the pooler answers");
        let row = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_one(&mut client).await.expect("an answer");
        let _ = client.close().await;
        (0..row.len()).map(|index| row.get_unchecked::<String, _>(index)).collect()
    }

    /// What it has written about itself.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn address(&self, database: &str) -> String {
        format!("postgres://anybody@127.0.0.1:{}/{database}?sslmode=disable&statement-cache-capacity=0", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who gets at the server's socket, where it has one.
pub(crate) fn account() -> (u32, u32) {
    match server().database("postgres").host() {
        Host::Socket(folder) => {
            let owner = std::fs::metadata(folder).expect("the socket's folder");
            (owner.uid(), owner.gid())
        }
        Host::Tcp(_) => (NOBODY, NOBODY),
    }
}

/// The tests' server, in pgbouncer's words.
fn place() -> String {
    let server = server().database("postgres");
    let environment: BTreeMap<String, String> = server.libpq_environment("pooler").into_iter().collect();
    [("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"), ("password", "PGPASSWORD")]
        .iter()
        .filter_map(|(key, variable)| Some(format!("{key}={}", environment.get(*variable)?)))
        .collect::<Vec<_>>()
        .join(" ")
}
