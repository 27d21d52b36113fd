//! What a service does with its migrations when it starts: the same engine, under the same locks.

use std::time::Duration;

use sqlx::migrate::Migrator;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::add_only;
use crate::apply::instant::{self, BUDGET, NotInTime};
use crate::apply::{Applier, Limits};
use crate::config::{self, ConfigError};
use crate::error::{Error, Result};
use crate::event::Emitter;
use crate::plan::{self, Plan, PlannedFile, Refusal};
use crate::postgres::history::{self, History};
use crate::postgres::journal::JournalConfig;
use crate::postgres::pooler;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::source::MigrationSet;
use crate::target::Target;
use crate::tolerance::Tolerance;

/// How long a start under [`StartupPolicy::InstantOnly`] waits for the locks. Of replicas that start
/// together each holds them for [`BUDGET`] at the most, and all but the first for a look only.
const INSTANT_PATIENCE: Duration = Duration::from_secs(10);

/// Why a start does not try what the one before it could not do.
const ANSWERED: &str = "who held the migration lock until now has left it, a start or a run that did not get through";

/// What a service does about pending migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartupPolicy {
    /// Applies them.
    #[default]
    Apply,
    /// Applies what only adds and is over at once, up to the first file that is not.
    InstantOnly,
    /// Looks, and tells.
    Check,
    /// Does not even look.
    Off,
}

impl StartupPolicy {
    /// As settings write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::InstantOnly => "instant-only",
            Self::Check => "check",
            Self::Off => "off",
        }
    }
}

impl std::fmt::Display for StartupPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for StartupPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Apply, Self::InstantOnly, Self::Check, Self::Off]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| format!("`{text}` is none of apply, instant-only, check, off"))
    }
}

/// How a service starts: its policy, and what a workspace says elsewhere of the history and the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartupTerms {
    /// What it does about pending migrations.
    pub policy: StartupPolicy,
    /// What of an untidy history is accepted.
    pub history: Tolerance,
    /// Where the journal is, and whether there must be one.
    pub journal: JournalConfig,
}

impl From<StartupPolicy> for StartupTerms {
    fn from(policy: StartupPolicy) -> Self {
        Self { policy, ..Self::default() }
    }
}

impl StartupTerms {
    /// Takes over `[history]` and `[journal]` from the text of a `rehearsal.toml`, such as one that is embedded.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    pub fn with_config(self, text: &str) -> Result<Self, ConfigError> {
        let (history, journal) = config::startup(text)?;
        Ok(Self { history, journal, ..self })
    }
}

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartupOutcome {
    /// How many migrations the program brings, if it looked.
    pub known: usize,
    /// The newest version after that, of those that the program knows.
    pub current: Option<i64>,
    /// What was applied.
    pub applied: Vec<i64>,
    /// What is still pending.
    pub pending: Vec<i64>,
    /// The first of what is pending, and why it was not applied. Only under [`StartupPolicy::InstantOnly`].
    pub refused: Option<RefusedFile>,
    /// Versions of the database that the program does not know yet: a newer one has been there.
    pub ahead: Vec<i64>,
}

/// A file that is not for a service that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFile {
    /// Its version.
    pub version: i64,
    /// File and line.
    pub place: String,
    /// Why.
    pub reason: String,
    /// What to run instead.
    pub command: String,
}

impl std::fmt::Display for RefusedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; run `{}`", self.place, self.reason, self.command)
    }
}

/// Brings the database to the state that the embedded migrations describe, by the policy. When
/// several replicas start at once, one applies and the others wait for it. A file that the policy refuses
/// is no error: what was applied before it stays, and the caller decides whether it can do without the rest.
/// `terms` may be a [`StartupPolicy`] alone: history and journal are as they are by default then.
///
/// # Errors
/// When the URL cannot be used, the database cannot be reached, files and history disagree, or a
/// statement fails.
pub async fn migrate(url: &str, migrator: &Migrator, terms: impl Into<StartupTerms> + Send) -> Result<StartupOutcome> {
    let StartupTerms { policy, history, journal } = terms.into();
    if policy == StartupPolicy::Off {
        return Ok(StartupOutcome::default());
    }
    asks_for_nothing_else(migrator)?;
    let target = Target::from_url("app", url)?.keeping_journal(journal);
    let migrations = MigrationSet::from_embedded(migrator)?.recorded_in(&migrator.table_name, history);
    let mut session = Session::connect(&target, "startup", &CancellationToken::new()).await?;
    let outcome = on(&mut session, &migrations, migrator, policy).await;
    session.close().await;
    outcome
}

/// What `sqlx.toml` and the program have told sqlx is kept, or refused: two readers of one history
/// must agree on where it is and what it means.
fn asks_for_nothing_else(migrator: &Migrator) -> Result<(), ConfigError> {
    let asked =
        [(migrator.ignore_missing, "ignore_missing"), (migrator.no_tx, "no_tx"), (!migrator.locking, "no locking")];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, setting)) => Err(ConfigError::Embedded { setting }),
        None => Ok(()),
    }
}

async fn on(
    session: &mut Session,
    migrations: &MigrationSet,
    migrator: &Migrator,
    policy: StartupPolicy,
) -> Result<StartupOutcome> {
    let table = &*migrator.table_name;
    let found = Found::look(session, migrations, table).await?;
    let doomed = policy == StartupPolicy::InstantOnly && found.plan.files().first().and_then(not_addable).is_some();
    if found.plan.is_empty() || policy == StartupPolicy::Check || doomed {
        let refused = found.plan.files().first().filter(|_| doomed).and_then(not_addable);
        return Ok(found.told(migrations, Vec::new(), refused));
    }
    let target = session.target().clone();
    pooler::refuse(session, &target, &CancellationToken::new()).await?;
    let limits = Limits {
        // A replica waits for as long as another one may take.
        run_lock_patience: match policy {
            StartupPolicy::InstantOnly => INSTANT_PATIENCE,
            _ => Limits::default().lock_budget,
        },
        // Whoever starts a service somewhere has no workspace to put a file into.
        pause_file: None,
        ..Limits::default()
    };
    let waited = match Applier::lock(session, &limits, &Emitter::default()).await {
        Err(Error::Busy(busy)) if policy == StartupPolicy::InstantOnly => {
            let found = Found::look(session, migrations, table).await?;
            let refused = found.plan.files().first().map(|file| refused(file, 1, busy.to_string()));
            return Ok(found.told(migrations, Vec::new(), refused));
        }
        locked => locked?,
    };
    for schema in migrator.create_schemas.iter() {
        // As written, as sqlx does it: the name may be quoted already.
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
        session.execute(&sql).await.map_err(Stopped::doing(format!("create the schema {schema}")))?;
    }
    // Another replica may have been faster.
    let wanted = found.plan.files().first().map(|file| file.version);
    let Found { plan, .. } = Found::look(session, migrations, table).await?;
    let refused = match policy {
        // It has tried, and the file is still to come. Ten replicas that try in turn would be ten seconds in
        // which requests are held up again and again.
        StartupPolicy::InstantOnly if waited && plan.files().first().map(|file| file.version) == wanted => {
            plan.files().first().map(|file| refused(file, 1, ANSWERED.into()))
        }
        StartupPolicy::InstantOnly => apply_instantly(session, &plan, table).await?,
        _ => {
            let (events, run_id) = (Emitter::default(), crate::run::run_id("startup"));
            let mut applier = Applier {
                session,
                events: &events,
                limits: &limits,
                history_table: table,
                run_id: &run_id,
                alone: false,
                watch: None,
            };
            applier.run(&plan).await?;
            None
        }
    };
    Applier::unlock(session).await?;
    let left = Found::look(session, migrations, table).await?;
    let pending = versions(&left.plan);
    let applied = versions(&plan).into_iter().filter(|version| !pending.contains(version)).collect();
    Ok(left.told(migrations, applied, refused))
}

/// The state of a database, as a program sees it that may be older than the database.
struct Found {
    current: Option<i64>,
    ahead: Vec<i64>,
    plan: Plan,
}

impl Found {
    async fn look(session: &mut Session, migrations: &MigrationSet, table: &str) -> Result<Self> {
        let mut history = History::read(session, table).await?;
        // A replica of before may be started again during a roll-out, or after one: what is newer than
        // all that it knows must not stop it.
        let ahead = history.take_newer_than(migrations.latest().unwrap_or(0));
        let plan = plan::up(migrations, &history, None)?;
        let too_late = plan.files().iter().find(|file| !migrations.tolerance().lets_come_late(file.version));
        if let (Some(file), Some(latest)) = (too_late, ahead.last()) {
            return Err(Refusal::OutOfOrder { version: file.version, latest: *latest }.into());
        }
        Ok(Self { current: history.latest_finished(), ahead, plan })
    }

    fn told(self, migrations: &MigrationSet, applied: Vec<i64>, refused: Option<RefusedFile>) -> StartupOutcome {
        StartupOutcome {
            known: migrations.iter().count(),
            current: self.current,
            applied,
            pending: versions(&self.plan),
            refused,
            ahead: self.ahead,
        }
    }
}

fn versions(plan: &Plan) -> Vec<i64> {
    plan.files().iter().map(|file| file.version).collect()
}

/// Applies one file after the other, up to the first that is refused.
async fn apply_instantly(session: &mut Session, plan: &Plan, table: &str) -> Result<Option<RefusedFile>> {
    if plan.files().first().is_none_or(|file| not_addable(file).is_some()) {
        return Ok(plan.files().first().and_then(not_addable));
    }
    history::ensure_table(session, table).await?;
    let deadline = Instant::now() + BUDGET;
    for file in plan.files() {
        if let Some(refused) = not_addable(file) {
            return Ok(Some(refused));
        }
        if let Some(NotInTime { line, reason }) = instant::run(session, file, table, deadline).await? {
            return Ok(Some(refused(file, line, reason)));
        }
    }
    Ok(None)
}

fn not_addable(file: &PlannedFile) -> Option<RefusedFile> {
    if file.resumes {
        return Some(refused(file, 1, "another run is in the middle of it, or was stopped there".into()));
    }
    add_only::objection(&file.script).map(|objection| refused(file, objection.line, objection.reason))
}

fn refused(file: &PlannedFile, line: usize, reason: String) -> RefusedFile {
    RefusedFile {
        version: file.version,
        place: format!("{}:{line}", file.script.path.display()),
        reason,
        command: format!("cargo xtask migrate --target NAME --to {}", file.version),
    }
}
