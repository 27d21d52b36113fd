//! What a service does with its migrations when it starts: the same engine, under the same locks.

use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;

use crate::apply::{Applier, Limits};
use crate::config::ConfigError;
use crate::error::Result;
use crate::event::Emitter;
use crate::plan;
use crate::postgres::history::History;
use crate::postgres::pooler;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::source::MigrationSet;
use crate::target::Target;

/// What a service does about pending migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartupPolicy {
    /// Applies them.
    #[default]
    Apply,
    /// Looks, and tells.
    Check,
    /// Does not even look.
    Off,
}

impl std::str::FromStr for StartupPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "apply" => Ok(Self::Apply),
            "check" => Ok(Self::Check),
            "off" => Ok(Self::Off),
            _ => Err(format!("`{text}` is none of apply, check, off")),
        }
    }
}

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartupOutcome {
    /// The newest version after that.
    pub current: Option<i64>,
    /// What was applied.
    pub applied: Vec<i64>,
    /// What is still pending.
    pub pending: Vec<i64>,
}

/// Brings the database to the state that the embedded migrations describe, by the policy. When
/// several replicas start at once, one applies and the others wait for it.
///
/// # Errors
/// When the URL cannot be used, the database cannot be reached, files and history disagree, or a
/// statement fails.
pub async fn migrate(url: &str, migrator: &Migrator, policy: StartupPolicy) -> Result<StartupOutcome> {
    if policy == StartupPolicy::Off {
        return Ok(StartupOutcome::default());
    }
    asks_for_nothing_else(migrator)?;
    let target = Target::from_url("app", url)?;
    let migrations = MigrationSet::from_embedded(migrator)?;
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
    let versions = |plan: &plan::Plan| plan.files().iter().map(|file| file.version).collect::<Vec<_>>();
    let history = History::read(session, table).await?;
    let pending = plan::up(migrations, &history, None)?;
    if pending.is_empty() || policy == StartupPolicy::Check {
        return Ok(StartupOutcome {
            current: history.latest_finished(),
            applied: Vec::new(),
            pending: versions(&pending),
        });
    }
    // A replica waits for as long as another one may take.
    let limits = Limits { run_lock_patience: Limits::default().lock_budget, ..Limits::default() };
    let target = session.target().clone();
    pooler::refuse(session, &target, &CancellationToken::new()).await?;
    Applier::lock(session, &limits).await?;
    for schema in migrator.create_schemas.iter() {
        // As written, as sqlx does it: the name may be quoted already.
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {schema}");
        session.execute(&sql).await.map_err(Stopped::doing(format!("create the schema {schema}")))?;
    }
    // Another replica may have been faster.
    let history = History::read(session, table).await?;
    let plan = plan::up(migrations, &history, None)?;
    let events = Emitter::default();
    let run_id = crate::run::run_id("startup");
    Applier { session, events: &events, limits: &limits, history_table: table, run_id: &run_id }.run(&plan).await?;
    Applier::unlock(session).await?;
    let history = History::read(session, table).await?;
    Ok(StartupOutcome { current: history.latest_finished(), applied: versions(&plan), pending: Vec::new() })
}
