//! Where it is measured: a throwaway server, temporary workspaces, and this very program as a child.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rehearsal::context::Environment;
use rehearsal::event::Emitter;
use rehearsal::postgres::Session;
use rehearsal::postgres::query::Stopped;
use rehearsal::postgres::tools::Tools;
use rehearsal::providers::{self, Choice, Request, Sandbox};
use rehearsal::target::Target;
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::cost::{self, Memory};
use crate::exit;

/// What would lead a child to another database or another configuration than the one it is to measure.
const VARIABLES_OF_OURS: &[&str] =
    &["REHEARSAL_TARGET", "REHEARSAL_CONFIG", "REHEARSAL_YES", "REHEARSAL_PROVIDER", "REHEARSAL_IMAGE"];

/// How many bytes a row of `users` takes, its index entries included; seen in `pg_database_size`.
const BYTES_PER_ROW: u64 = 400;

/// The template, its copy and the WAL that an UPDATE of all of it writes.
const COPIES: u64 = 3;

/// How much of a child's complaint is shown.
const SHOWN_CHARACTERS: usize = 500;

/// See the module.
pub struct Place {
    /// How many rows the big table has.
    pub rows: u64,
    /// The user's wish to stop.
    pub cancel: CancellationToken,
    environment: Environment,
    program: PathBuf,
    sandbox: Sandbox,
}

impl Place {
    /// Starts the server.
    pub async fn open(rows: u64, environment: Environment, cancel: CancellationToken) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let bytes = (64 << 20) + rows.saturating_mul(BYTES_PER_ROW * COPIES);
        let sandbox = start(Choice::Local, bytes, &environment, &cancel).await?;
        Ok(Self { rows, cancel, environment, program, sandbox })
    }

    /// Ends the server.
    pub async fn close(self) {
        self.sandbox.remove().await;
    }

    /// The server.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Which container engine is to be used, if that is said.
    pub fn docker_host(&self) -> Option<&str> {
        self.environment.docker_host.as_deref()
    }

    /// Starts another server, which the caller removes.
    pub async fn another(&self, choice: Choice) -> Result<Sandbox, rehearsal::Error> {
        start(choice, 64 << 20, &self.environment, &self.cancel).await
    }

    /// A database of the server.
    pub fn database(&self, name: &str) -> Target {
        self.sandbox.database(name)
    }

    /// A connection to one of the server's databases.
    pub async fn connect(&self, database: &str) -> anyhow::Result<Session> {
        Ok(Session::connect(&self.database(database), "bench", &self.cancel).await?)
    }

    /// Runs statements on one of the server's databases, one by one: some refuse company.
    pub async fn execute(&self, database: &str, statements: &[&str]) -> anyhow::Result<()> {
        let mut session = self.connect(database).await?;
        for sql in ["SET statement_timeout = 0"].iter().chain(statements) {
            session.execute(sql).await.map_err(Stopped::doing("prepare the measurement"))?;
        }
        session.close().await;
        Ok(())
    }

    /// The one value that a query gives.
    pub async fn value(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut session = self.connect(database).await?;
        let rows = session.fetch_text(sql, 1).await.map_err(Stopped::doing("look at what was measured"));
        session.close().await;
        let value =
            rows?.rows.into_iter().next().and_then(|mut row| if row.is_empty() { None } else { row.swap_remove(0) });
        value.ok_or_else(|| exit::failed(format!("nothing came of: {sql}"), "this is a fault of the benchmark itself"))
    }

    /// A fresh database, empty or a copy of `template`; what had its name before is gone.
    pub async fn fresh(&self, name: &str, template: Option<&str>) -> anyhow::Result<Target> {
        self.sandbox.drop_database(name, &self.cancel).await?;
        let template = template.unwrap_or("template0");
        self.execute("postgres", &[&format!("CREATE DATABASE {name} TEMPLATE {template}")]).await?;
        Ok(self.database(name))
    }

    /// This program, as a user would start it in `workspace`, on `target` by DATABASE_URL.
    pub fn ours(&self, workspace: &Path, target: Option<&Target>, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.settle(&mut command, workspace, target);
        command
    }

    /// Any other program, with the same surroundings.
    pub fn theirs(&self, program: &Path, workspace: &Path, target: Option<&Target>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments);
        self.settle(&mut command, workspace, target);
        command
    }

    fn settle(&self, command: &mut Command, workspace: &Path, target: Option<&Target>) {
        for variable in VARIABLES_OF_OURS {
            command.env_remove(variable);
        }
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("PG") || name.ends_with("DATABASE_URL")) {
                command.env_remove(variable);
            }
        }
        if let Some(target) = target {
            command.env("DATABASE_URL", target.sandbox_url());
        }
        command
            .current_dir(workspace)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
    }

    /// How long a command takes, from its start to its end. It must succeed.
    pub async fn time(&self, command: &mut Command) -> anyhow::Result<Duration> {
        self.output(command).await.map(|(took, _)| took)
    }

    /// The same, with what it has written.
    pub async fn output(&self, command: &mut Command) -> anyhow::Result<(Duration, String)> {
        let began = Instant::now();
        let output = tokio::select! {
            output = command.output() => output,
            () = self.cancel.cancelled() => return Err(rehearsal::Error::Interrupted.into()),
        };
        let took = began.elapsed();
        let output = output.with_context(|| format!("cannot start {}", name(command)))?;
        succeeded(command, &output)?;
        Ok((took, String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// How long a command takes, and the memory that it had, where that is told. It must succeed.
    pub async fn watched(&self, command: &mut Command) -> anyhow::Result<(Duration, Option<Memory>)> {
        let began = Instant::now();
        let child = command.spawn().context("cannot start this program again")?;
        let watching = child.id().map(|id| tokio::spawn(cost::memory(id)));
        let output = tokio::select! {
            output = child.wait_with_output() => output?,
            () = self.cancel.cancelled() => return Err(rehearsal::Error::Interrupted.into()),
        };
        let took = began.elapsed();
        succeeded(command, &output)?;
        let memory = match watching {
            Some(watching) => watching.await.ok().flatten(),
            None => None,
        };
        Ok((took, memory))
    }

    /// The server's first process.
    pub async fn postmaster(&self) -> anyhow::Result<u32> {
        let first = self.value("postgres", "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)").await?;
        first.trim().parse().with_context(|| format!("`{first}` is no process"))
    }

    /// A program of the server's own installation.
    pub fn server_program(&self, name: &str) -> anyhow::Result<PathBuf> {
        match self.sandbox.tools() {
            Tools::Host(installation) => Ok(installation.folder.join(name)),
            Tools::Image { .. } => {
                Err(exit::failed("the server's programs are in an image", "this is a fault of the benchmark itself"))
            }
        }
    }
}

fn name(command: &Command) -> String {
    command.as_std().get_program().to_string_lossy().into_owned()
}

fn succeeded(command: &Command, output: &Output) -> anyhow::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = [&output.stderr[..], &output.stdout[..]].concat();
    let said = rehearsal::report::format::shortened(&String::from_utf8_lossy(&said), SHOWN_CHARACTERS);
    Err(exit::failed(
        format!("{} ended with {}: {said}", name(command), output.status),
        "a figure counts only when both sides did their work",
    ))
}

async fn start(
    choice: Choice,
    bytes: u64,
    environment: &Environment,
    cancel: &CancellationToken,
) -> Result<Sandbox, rehearsal::Error> {
    let request = Request {
        major: None,
        preferred: None,
        image: None,
        start_limit: Duration::from_secs(60),
        expected_bytes: bytes,
    };
    providers::start(choice, &request, environment, &Emitter::default(), cancel).await
}

/// A workspace that is thrown away, with those files (paths and texts). It is under git, as a user's
/// is: what asks git is to pay for it here as well.
pub fn workspace(files: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<TempDir> {
    let folder =
        tempfile::Builder::new().prefix("rehearsal-bench-").tempdir().context("cannot create a temporary folder")?;
    let write = |path: &Path, text: &str| {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)
    };
    let ignored = (".gitignore".to_owned(), "/.rehearsal\n/backups\n".to_owned());
    for (name, text) in files.into_iter().chain([ignored]) {
        let path = folder.path().join(&name);
        write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    commit(folder.path());
    Ok(folder)
}

/// Without git there is nothing to ask for either.
fn commit(folder: &Path) {
    let Ok(shell) = xshell::Shell::new() else { return };
    shell.change_dir(folder);
    let git = |arguments: &[&str]| {
        xshell::cmd!(shell, "git -c user.name=bench -c user.email=bench@localhost {arguments...}")
            .quiet()
            .ignore_stdout()
            .ignore_stderr()
            .run()
    };
    let _ = git(&["init"]).and_then(|()| git(&["add", "--all"])).and_then(|()| git(&["commit", "--message", "bench"]));
}
