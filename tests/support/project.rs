//! A workspace of one test: its own migrations, checks and `rehearsal.toml`, in a folder that goes
//! away with it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::command::{Ended, Running};
use crate::database::Database;
use crate::leftovers;
use crate::server::server;

/// Short limits, so that what has to time out does so while a test waits.
pub const QUICK_LIMITS: &str = "
[limits]
lock_timeout = '50ms'
lock_timeout_most = '100ms'
lock_tries = 5
run_lock_patience = '20s'
";

/// The newest version of release R2, see `rehearsal.toml`.
const NEWEST_OF_R2: i64 = 6;

/// What the child may know of this process's environment.
const PASSED_ON: &[&str] = &["PATH", "HOME", "DOCKER_HOST", "REHEARSAL_CACHE", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"];

/// See the module.
pub struct Project {
    folder: TempDir,
    program: PathBuf,
    variables: Vec<(String, String)>,
}

impl Project {
    /// A workspace with a `rehearsal.toml` and no migration yet.
    ///
    /// # Panics
    /// When the temporary folder cannot be used.
    #[must_use]
    pub fn new(program: &str) -> Self {
        let folder = TempDir::with_prefix("rehearsal-test-").expect("a temporary folder");
        let project = Self { folder, program: program.into(), variables: Vec::new() };
        for name in ["migrations/checks", "tmp"] {
            std::fs::create_dir_all(project.path(name)).expect("a folder");
        }
        // A server of an unprivileged account may have to get at its data below.
        for open in [project.folder.path(), &project.path("tmp")] {
            std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        }
        project.write("rehearsal.toml", &format!("[targets.dev]\nurl_env = 'DATABASE_URL'\n{QUICK_LIMITS}"))
    }

    /// A copy of this workspace as it was when its release R2 was the newest: what most tests count on.
    ///
    /// # Panics
    /// When the temporary folder cannot be used, or the workspace has no such release.
    #[must_use]
    pub fn of_this_workspace(program: &str) -> Self {
        let project = Self::with_all_releases(program);
        for folder in ["migrations", "migrations/fixtures"] {
            for name in project.names_in(folder) {
                let version = name.split('_').next().and_then(|number| number.parse::<i64>().ok());
                if version.is_some_and(|version| version > NEWEST_OF_R2) {
                    project.remove(&format!("{folder}/{name}"));
                }
            }
        }
        for (folder, of_r2) in [
            ("migrations/checks", &["baseline.sql", "onboarding_completed.sql"][..]),
            ("migrations/traffic", &["R2.sql"]),
        ] {
            for name in project.names_in(folder).iter().filter(|name| !of_r2.contains(&name.as_str())) {
                project.remove(&format!("{folder}/{name}"));
            }
        }
        let config = std::fs::read_to_string(project.path("rehearsal.toml")).expect("rehearsal.toml is read");
        let later = config.match_indices("[[releases]]").nth(1).expect("R2 is not the only release").0;
        project.change("rehearsal.toml", &config[..later]);
        project
    }

    /// A copy of this workspace's own migrations, checks, fixtures, traffic and releases, all of them.
    ///
    /// # Panics
    /// When the temporary folder cannot be used.
    #[must_use]
    pub fn with_all_releases(program: &str) -> Self {
        let project = Self::new(program);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root");
        copy(&root.join("migrations"), &project.path("migrations"));
        std::fs::copy(root.join("rehearsal.toml"), project.path("rehearsal.toml")).expect("rehearsal.toml is copied");
        project
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// When that cannot be done.
    #[must_use]
    pub fn write(self, relative: &str, text: &str) -> Self {
        self.change(relative, text);
        self
    }

    /// Writes a file of a project that is in use already.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn change(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Removes a file.
    ///
    /// # Panics
    /// When it is not there.
    pub fn remove(&self, relative: &str) {
        std::fs::remove_file(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"));
    }

    /// A migration with its way back.
    #[must_use]
    pub fn migration(self, name: &str, up: &str, down: &str) -> Self {
        self.write(&format!("migrations/{name}.up.sql"), up).write(&format!("migrations/{name}.down.sql"), down)
    }

    /// A migration that runs statement by statement over a table with that many rows: a column is
    /// raised by 10 in batches, which shows when a row is written twice, then gets an index.
    #[must_use]
    pub fn items(self, rows: u32) -> Self {
        self.migration(
            "1_items",
            &format!(
                "CREATE TABLE items (id bigint PRIMARY KEY, name text, n integer NOT NULL DEFAULT 0);\n\
                 INSERT INTO items (id, name) SELECT g * 3, 'item ' || g FROM generate_series(1, {rows}) g;\n"
            ),
            "DROP TABLE items;\n",
        )
        .migration(
            "2_raise",
            "-- why\nUPDATE items SET n = n + 10 WHERE /* batch: items.id */ TRUE;\n",
            "UPDATE items SET n = n - 10 WHERE /* batch: items.id */ TRUE;\n",
        )
        .migration(
            "3_index",
            "-- no-transaction\nCREATE INDEX CONCURRENTLY items_n ON items (n);\n",
            "-- no-transaction\nDROP INDEX CONCURRENTLY items_n;\n",
        )
    }

    /// Sets an environment variable of the command.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The target `dev` is that database.
    #[must_use]
    pub fn on(self, database: &Database) -> Self {
        self.variable("DATABASE_URL", &database.url())
    }

    /// The command with these words, ready to be started.
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.program);
        self.surround(&mut command).args(words.split_whitespace());
        command
    }

    /// Gives a command the project's folder and environment, and nothing else of this process's.
    fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.current_dir(self.folder.path()).env_clear();
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("TMPDIR", self.path("tmp")).env("REHEARSAL_PROVIDER", server().provider());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }

    /// Starts the command.
    #[must_use]
    pub fn start(&self, words: &str) -> Running {
        Running::start(self.command(words), words, self.folder.path().to_owned())
    }

    /// Starts the command at a terminal, as util-linux's `script` makes one: both of its outputs are its stdout.
    #[must_use]
    pub fn start_at_terminal(&self, words: &str) -> Running {
        let mut command = Command::new("script");
        command.args(["-qefc", &format!("exec '{}' {words}", self.program.display()), "/dev/null"]);
        self.surround(&mut command).env("TERM", "xterm");
        Running::start(command, words, self.folder.path().to_owned())
    }

    /// Has git do something in the project's folder. Gives what it printed.
    ///
    /// # Panics
    /// When git is not there, or fails.
    pub fn git(&self, words: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "safe.directory=*"])
            .args(words)
            .current_dir(self.folder())
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a line of a shell as somebody does who follows the guide: all that is printed is in its stdout, in the
    /// order of a terminal.
    ///
    /// # Panics
    /// When the line cannot be run, does not end in time, or leaves something behind.
    pub async fn run_line(&self, line: &str) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{}\n{line}", self.cargo())]);
        self.surround(&mut command);
        let ended = Running::start(command, line, self.folder.path().to_owned()).end().await;
        self.must_be_clean_after(&ended).await;
        ended
    }

    /// Starts a line of a workflow with these variables, as GitHub's runner does.
    ///
    /// # Panics
    /// When there is no bash.
    #[must_use]
    pub fn start_line(&self, line: &str, variables: &BTreeMap<String, String>) -> Running {
        let mut command = Command::new("bash");
        command.args(["-e", "-c", &format!("{}\n{line}", self.cargo())]);
        self.surround(&mut command).envs(variables);
        Running::start(command, line, self.folder.path().to_owned())
    }

    /// What makes `cargo xtask` this project's program in a shell, and fails any other use of cargo. It is no file:
    /// while one test writes it, another one's child may hold it open.
    fn cargo(&self) -> String {
        format!("cargo() {{ [ \"$1\" = xtask ] || return 2; shift; '{}' \"$@\"; }}", self.program.display())
    }

    /// Starts the command with another database as its target `dev`.
    #[must_use]
    pub fn start_on(&self, url: &str, words: &str) -> Running {
        let mut command = self.command(words);
        command.env("DATABASE_URL", url);
        Running::start(command, words, self.folder.path().to_owned())
    }

    /// Runs the command with nobody at the other end of its stdout. Gives its exit code, and what it wrote to stderr.
    ///
    /// # Panics
    /// When it cannot be run.
    pub async fn run_unread(&self, words: &str) -> (Option<i32>, String) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {words}: {error}"));
        // The command has the writer for itself.
        drop(command);
        let ended = child.wait_with_output().await.expect("it ends");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    }

    /// Runs the command to its end, and checks that it left nothing behind on this machine.
    ///
    /// # Panics
    /// When it does not end in time, or leaves something.
    pub async fn run(&self, words: &str) -> Ended {
        let ended = self.start(words).end().await;
        self.must_be_clean_after(&ended).await;
        ended
    }

    /// Checks that a command left no server, container or temporary file.
    ///
    /// # Panics
    /// When it did.
    pub async fn must_be_clean_after(&self, ended: &Ended) {
        let left = leftovers::of(ended.pid, &self.path("tmp")).await;
        assert!(left.is_empty(), "`{}` left behind: {left:?}\n{}", ended.words, ended.text());
    }

    /// The names of what is in one of its folders; nothing where there is no such folder.
    #[must_use]
    pub fn names_in(&self, relative: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(relative)) else { return Vec::new() };
        let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the migrations are there") {
        let path = entry.expect("it can be read").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("it is copied");
        }
    }
}
