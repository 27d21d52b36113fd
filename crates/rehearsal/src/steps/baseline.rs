//! Brings a fresh sandbox to the state before a release: the earlier migrations, each followed by
//! the fixtures written for it.

use std::path::PathBuf;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::apply::Applier;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::plan;
use crate::postgres::history::History;
use crate::postgres::query::{Stopped, server_words};
use crate::postgres::session::Session;
use crate::providers::SandboxError;
use crate::report::format::{count, plural};

/// The database of a rehearsal without a target.
const DATABASE: &str = "rehearsal";

/// See the module.
pub struct Baseline {
    /// The newest version of the state before the release; 0 for an empty database.
    pub after: i64,
}

#[async_trait]
impl Step for Baseline {
    fn name(&self) -> &'static str {
        "baseline"
    }

    fn title(&self) -> &'static str {
        "start a throwaway server and bring it to the state before the release"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let bytes = cx.bytes_of_fixtures();
        let cancel = cx.cancel.clone();
        let sandbox = cx.sandbox(None, Some(bytes)).await?;
        let (provider, version) = (sandbox.provider(), sandbox.version());
        let target = sandbox.create_database(DATABASE, None, &cancel).await?;
        cx.enter(target)?;
        let mut session = cx.connect_and_tell("baseline").await?;
        let loaded = self.build(cx, &mut session).await;
        session.close().await;
        let loaded = loaded?;
        Ok(StepReport::done(format!(
            "PostgreSQL {version} ({provider}) at version {}, {} with {} rows asked for",
            self.after,
            plural(loaded, "fixture"),
            count(cx.settings.rows)
        )))
    }
}

impl Baseline {
    async fn build(&self, cx: &Context, session: &mut Session) -> Result<u64> {
        let workspace = &cx.workspace;
        let table = &workspace.config.history_table;
        Applier::lock(session, &workspace.config.limits, &cx.events).await?;
        let fixtures = fixtures(&workspace.config.fixtures)?;
        let mut loaded = 0;
        let versions: Vec<i64> = workspace
            .migrations
            .iter()
            .map(|migration| migration.version)
            .filter(|version| *version <= self.after)
            .collect();
        for version in versions {
            let history = History::read(session, table).await?;
            let plan = plan::up(&workspace.migrations, &history, Some(version))?;
            let mut applier = Applier {
                session,
                events: &crate::event::Emitter::default(),
                limits: &workspace.config.limits,
                history_table: table,
                run_id: &cx.run_id,
                alone: true,
                watch: None,
            };
            applier.run(&plan).await?;
            for (_, path) in fixtures.iter().filter(|(of, _)| *of == version) {
                load(cx, session, path).await?;
                loaded += 1;
            }
        }
        Applier::unlock(session).await?;
        Ok(loaded)
    }
}

/// The fixture files with the versions that open their names.
fn fixtures(folder: &std::path::Path) -> Result<Vec<(i64, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.ends_with(".sql") {
            continue;
        }
        let version =
            name.split('_').next().and_then(|number| number.parse().ok()).ok_or_else(|| SandboxError::Fixture {
                path: path.clone(),
                line: 1,
                reason: "its name must open with the version that it is written for: 0001_users.sql".into(),
            })?;
        found.push((version, path));
    }
    found.sort();
    Ok(found)
}

async fn load(cx: &Context, session: &mut Session, path: &std::path::Path) -> Result<()> {
    let sql = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    // No limits: this is a throwaway server, and a million rows take their time.
    let settings =
        format!("SET statement_timeout = 0; SELECT set_config('rehearsal.rows', '{}', false)", cx.settings.rows);
    session.execute(&settings).await.map_err(Stopped::doing("prepare for the fixtures"))?;
    match session.execute(&sql).await {
        Ok(_) => Ok(()),
        Err(Stopped::Failed(error)) => {
            let position = error
                .as_database_error()
                .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>())
                .and_then(|error| match error.position() {
                    Some(sqlx::postgres::PgErrorPosition::Original(position)) => Some(position),
                    _ => None,
                });
            let line = position.map_or(1, |position| sql.chars().take(position).filter(|c| *c == '\n').count() + 1);
            Err(SandboxError::Fixture { path: path.into(), line, reason: server_words(&error) }.into())
        }
        Err(stopped) => Err(Stopped::doing(format!("load {}", path.display()))(stopped)),
    }
}
