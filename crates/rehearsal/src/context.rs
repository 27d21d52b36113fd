//! What a step may touch: the database it works on, tools, throwaway servers, and who hears of it.
//!
//! There is no field that says whether this is a rehearsal. A step works on [`Context::target`],
//! which is a sandbox or production; that is decided by the list of steps, not by a step.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backup::manifest::Manifest;
use crate::backup::repository::identities::Identities;
use crate::backup::repository::options::StoreOptions;
use crate::backup::repository::{Repository, RepositoryError};
use crate::check::Check;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::{Emitter, EventKind, Outcome};
use crate::postgres::contents::{Columns, Contents};
use crate::postgres::lock_watch::LockWatch;
use crate::postgres::schema::Schema;
use crate::postgres::sequences::Sequences;
use crate::postgres::session::Session;
use crate::postgres::tools::{Invocation, ToolError, Tools, choose};
use crate::postgres::version::Version;
use crate::postgres::{pooler, programs};
use crate::providers::scratch::Scratch;
use crate::providers::{self, Choice, Request, Sandbox, docker};
use crate::source::MigrationSet;
use crate::target::Target;
use crate::traffic::Traffic;

/// What the library needs to know of the machine. The shell looks it up.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// Folders with PostgreSQL programs that the user names.
    pub program_folders: Vec<PathBuf>,
    /// A folder for what is made once: `~/.cache/rehearsal`.
    pub cache: PathBuf,
    /// A folder for what is thrown away: `TMPDIR`.
    pub temporary: PathBuf,
    /// Which container engine the user names: `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// What object stores are reached by: `AWS_*`, `GOOGLE_*`, `AZURE_*`.
    pub object_stores: StoreOptions,
    /// The keys to read encrypted backups with: `REHEARSAL_AGE_IDENTITY_FILE`.
    pub age_identities: Option<PathBuf>,
}

/// The workspace: its configuration, migrations and checks.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Its configuration.
    pub config: Config,
    /// Its migrations.
    pub migrations: MigrationSet,
    /// Its checks.
    pub checks: Vec<Check>,
    /// What clients do meanwhile.
    pub traffic: Vec<Traffic>,
    /// The commit it stands at.
    pub commit: Option<String>,
}

impl Workspace {
    /// Reads migrations, checks and traffic of a configured workspace.
    ///
    /// # Errors
    /// When a file is missing or malformed.
    pub fn load(config: Config, commit: Option<String>) -> Result<Self> {
        let migrations = MigrationSet::from_folder(&config.migrations)?;
        let migrations = migrations.recorded_in(&config.history_table, config.history.clone());
        let checks = crate::check::from_folder(&config.checks)?;
        let traffic = crate::traffic::from_folder(&config.traffic.from)?;
        Ok(Self { config, migrations, checks, traffic, commit })
    }
}

/// What becomes of a sandbox when the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is removed.
    Never,
    /// It is kept when a step failed.
    OnFailure,
    /// It is kept.
    Always,
}

/// What the user chose for this run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which provider.
    pub provider: Choice,
    /// An image of the user's own.
    pub image: Option<String>,
    /// What becomes of the sandbox.
    pub keep: Keep,
    /// How many rows fixtures make.
    pub rows: u64,
    /// Whether the locks of migrations are watched from a second connection.
    pub watch_locks: bool,
    /// Whether a linter looks at the files that are going to run.
    pub lint: bool,
    /// Nobody else writes to the database meanwhile, so what the tables hold can be compared.
    pub alone: bool,
}

/// What was seen of a database, to be compared with later.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// What the checks found.
    pub checks: BTreeMap<String, Seen>,
    /// The schema.
    pub schema: Option<Schema>,
    /// The tables' columns.
    pub columns: Columns,
    /// What the tables held.
    pub contents: Option<Contents>,
    /// The indexes that were INVALID.
    pub invalid_indexes: Vec<String>,
    /// Where the sequences stood.
    pub sequences: Option<Sequences>,
    /// The version in whose middle an earlier run had stopped.
    pub unfinished: Option<i64>,
    /// When and where it was seen, if not in this run.
    pub origin: Option<String>,
}

/// What one check's query gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// For people, shortened.
    pub found: String,
    /// Over all rows.
    pub digest: String,
}

/// See the module.
pub struct Context {
    /// Names the run.
    pub run_id: String,
    /// The workspace.
    pub workspace: Arc<Workspace>,
    /// The machine.
    pub environment: Environment,
    /// The user's choices.
    pub settings: Settings,
    /// Who hears of it.
    pub events: Emitter,
    /// The user's wish to stop.
    pub cancel: CancellationToken,
    /// How the steps before went: the first failure, if there was one.
    pub so_far: Outcome,
    /// How long steps took when the same was rehearsed, by their names.
    pub planned: BTreeMap<String, u64>,
    /// What `audit` saw.
    pub before: Option<Observation>,
    /// The versions at which it was told what has become of the schema since then.
    pub schema_told: BTreeSet<i64>,
    /// The backup that was made last, and its folder.
    pub backup: Option<(PathBuf, Manifest)>,
    /// The address that was seen to have no pooler before it.
    direct: Option<String>,
    target: Option<Target>,
    /// The target is a database of the sandbox.
    entered: bool,
    sandbox: Option<Sandbox>,
    scratch: Option<Scratch>,
}

/// Where exported tables go when backups are sent elsewhere.
const EXPORTS: &str = ".rehearsal/exports";

/// Size that is assumed when there is nothing to go by.
const UNKNOWN_BYTES: u64 = 64 << 20;

/// About what a row of fixtures takes, its share of the other tables and indexes included.
const BYTES_PER_FIXTURE_ROW: u64 = 1_000;

impl Context {
    /// A context on that target, or on none yet.
    #[must_use]
    pub fn new(
        run_id: String,
        workspace: Arc<Workspace>,
        environment: Environment,
        settings: Settings,
        events: Emitter,
        cancel: CancellationToken,
        target: Option<Target>,
    ) -> Self {
        Self {
            run_id,
            workspace,
            environment,
            settings,
            events,
            cancel,
            so_far: Outcome::Done,
            planned: BTreeMap::new(),
            before: None,
            schema_told: BTreeSet::new(),
            backup: None,
            direct: None,
            target,
            entered: false,
            sandbox: None,
            scratch: None,
        }
    }

    /// The database that steps work on.
    ///
    /// # Errors
    /// When the list of steps forgot to provide one.
    pub fn target(&self) -> Result<&Target> {
        self.target.as_ref().ok_or_else(|| {
            crate::target::TargetError::NoUrl { name: "sandbox".into(), variable: "DATABASE_URL".into() }.into()
        })
    }

    /// From now on, steps work on that throwaway database, and what they make of it is thrown away
    /// with it.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn enter(&mut self, target: Target) -> Result<()> {
        if self.scratch.is_none() {
            self.scratch = Some(Scratch::create(&self.environment.temporary)?);
        }
        self.target = Some(target);
        self.entered = true;
        Ok(())
    }

    /// A folder that goes when it is dropped.
    ///
    /// # Errors
    /// The file system's.
    pub fn throwaway_folder(&self) -> Result<Scratch> {
        Scratch::create(&self.environment.temporary)
    }

    /// The folder that backups of the target are made in: where they stay, unless they are encrypted or
    /// sent from there.
    #[must_use]
    pub fn backup_folder(&self) -> PathBuf {
        let config = &self.workspace.config.backup;
        match (&self.scratch, config.to.folder()) {
            (Some(scratch), _) => scratch.path(),
            (None, Some(folder)) if !config.is_staged() => folder.to_owned(),
            _ => config.staging.clone(),
        }
    }

    /// The folder that exported tables go to: always one of this machine, beside the backups if those are.
    #[must_use]
    pub fn export_folder(&self) -> PathBuf {
        match (&self.scratch, self.workspace.config.backup.to.folder()) {
            (Some(scratch), _) => scratch.path(),
            (None, Some(folder)) => folder.to_owned(),
            (None, None) => EXPORTS.into(),
        }
    }

    /// Where backups go once they are made, when that is not where they are made. What is made of a
    /// throwaway database goes with it.
    ///
    /// # Errors
    /// [`RepositoryError::Unusable`].
    pub fn sent_to(&self) -> Result<Option<Repository>> {
        let away = self.scratch.is_none() && self.workspace.config.backup.is_staged();
        let repository = away.then(|| self.repository(self.target()?.name())).transpose()?;
        Ok(repository)
    }

    /// The place of a target's backups.
    ///
    /// # Errors
    /// [`RepositoryError::Unusable`].
    pub fn repository(&self, target: &str) -> Result<Repository> {
        let config = &self.workspace.config.backup;
        Ok(Repository::open(&config.to, target, &self.environment.object_stores, config.patience)?)
    }

    /// The keys to read encrypted backups with, if the environment names any.
    ///
    /// # Errors
    /// [`RepositoryError::BadIdentities`].
    pub fn identities(&self) -> Result<Option<Identities>, RepositoryError> {
        self.environment.age_identities.as_deref().map(Identities::read).transpose()
    }

    /// Opens a connection to the target.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn connect(&self, purpose: &str) -> Result<Session> {
        Session::connect(self.target()?, purpose, &self.cancel).await
    }

    /// Opens a connection and tells who answered.
    ///
    /// # Errors
    /// As [`Context::connect`].
    pub async fn connect_and_tell(&self, purpose: &str) -> Result<Session> {
        let session = self.connect(purpose).await?;
        self.tell(&session);
        Ok(session)
    }

    /// Tells who answered.
    pub fn tell(&self, session: &Session) {
        self.events.emit(EventKind::Connected {
            target: session.target().name().to_owned(),
            address: session.target().address(),
            server: session.version(),
        });
    }

    /// Opens a connection to the same database for a look at all of it: in a sandbox as its superuser,
    /// because the target's role need not see what other roles own; elsewhere as the role there is.
    ///
    /// # Errors
    /// As [`Context::connect`].
    pub async fn connect_to_read(&self, purpose: &str) -> Result<Session> {
        let target = self.target()?;
        match &self.sandbox {
            Some(sandbox) if self.entered => {
                Session::connect(&sandbox.database(target.database()), purpose, &self.cancel).await
            }
            _ => self.connect(purpose).await,
        }
    }

    /// Watches a session's locks, where that is asked for.
    ///
    /// # Errors
    /// When there is no second connection to be had.
    pub async fn watch_locks(&self, session: &Session) -> Result<Option<LockWatch>> {
        if !self.settings.watch_locks {
            return Ok(None);
        }
        LockWatch::start(session.target(), session.pid(), &self.cancel).await.map(Some)
    }

    /// Refuses a target behind a transaction pooler. Nobody puts one there in the middle of a run: it is
    /// looked for once.
    ///
    /// # Errors
    /// [`crate::plan::Refusal::Pooled`].
    pub async fn refuse_pooler(&mut self, session: &mut Session) -> Result<()> {
        let target = self.target()?;
        let address = target.address();
        if self.direct.as_ref() != Some(&address) {
            pooler::refuse(session, target, &self.cancel).await?;
            self.direct = Some(address);
        }
        Ok(())
    }

    /// The sandbox of this run; started when it is first asked for. `major` is a must, if given;
    /// `bytes` is about what it is going to hold.
    ///
    /// # Errors
    /// When no provider can serve.
    pub async fn sandbox(&mut self, major: Option<u32>, bytes: Option<u64>) -> Result<&Sandbox> {
        if self.sandbox.is_none() {
            let config = &self.workspace.config.sandbox;
            let request = Request {
                major,
                preferred: config.postgres,
                image: self.settings.image.clone().or_else(|| config.image.clone()),
                start_limit: config.start_limit,
                expected_bytes: bytes.unwrap_or(UNKNOWN_BYTES),
            };
            let sandbox =
                providers::start(self.settings.provider, &request, &self.environment, &self.events, &self.cancel)
                    .await?;
            self.sandbox = Some(sandbox.keeping_journal(self.workspace.config.journal.clone()));
        }
        self.sandbox.as_ref().ok_or_else(|| providers::SandboxError::None { reasons: Vec::new() }.into())
    }

    /// The sandbox, if one runs.
    #[must_use]
    pub fn running_sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.as_ref()
    }

    /// Hands the sandbox over, to be removed or kept.
    pub fn take_sandbox(&mut self) -> Option<Sandbox> {
        self.sandbox.take()
    }

    /// About how many bytes that many rows of fixtures are.
    #[must_use]
    pub fn bytes_of_fixtures(&self) -> u64 {
        UNKNOWN_BYTES + self.settings.rows.saturating_mul(BYTES_PER_FIXTURE_ROW)
    }

    /// Client programs that fit a server: this machine's, the running sandbox's, or an image's.
    ///
    /// # Errors
    /// [`ToolError::NoFit`] with what was found.
    pub async fn tools(&self, server: Version) -> Result<Tools> {
        let of_sandbox = self.sandbox.as_ref().map(Sandbox::tools);
        if let Some(tools) = of_sandbox.filter(|tools| crate::postgres::tools::fits(tools.version(), server)) {
            return Ok(tools.clone());
        }
        let installations = programs::find(&self.environment.program_folders, &self.environment.path);
        if let Some(tools) = choose(&installations, server) {
            return Ok(tools);
        }
        let mut found: Vec<String> =
            installations.iter().map(|installation| installation.version.to_string()).collect();
        match self.tools_of_image(server).await {
            Ok(tools) if crate::postgres::tools::fits(tools.version(), server) => return Ok(tools),
            Ok(tools) => found.push(tools.describe()),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => found.push(error.to_string()),
        }
        Err(ToolError::NoFit { server, found: found.join(", ") }.into())
    }

    async fn tools_of_image(&self, server: Version) -> Result<Tools> {
        let image = docker::official_image(server.major);
        let engine = docker::engine(self.environment.docker_host.as_deref()).await?;
        docker::ensure_image(&engine, &image).await?;
        let unknown = Tools::Image { image: image.clone(), version: server };
        let arguments = ["--version".to_owned()];
        let target = self.target()?;
        let invocation = Invocation {
            program: "pg_dump",
            arguments: &arguments,
            target,
            purpose: "version",
            folder: None,
            list: None,
        };
        let output = unknown.run(&invocation, &self.cancel).await?;
        let version = String::from_utf8_lossy(&output).parse().unwrap_or(Version { major: 0, minor: 0 });
        Ok(Tools::Image { image, version })
    }
}
