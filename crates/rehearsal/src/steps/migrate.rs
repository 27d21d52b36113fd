//! Applies the pending migrations.

use std::sync::Arc;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::apply::Applier;
use crate::context::Context;
use crate::error::Result;
use crate::plan;
use crate::postgres::history::History;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::report::format::plural;

/// See the module.
pub struct Migrate {
    /// The newest version to apply; all of them without one.
    pub to: Option<i64>,
}

#[async_trait]
impl Step for Migrate {
    fn name(&self) -> &'static str {
        "migrate"
    }

    fn title(&self) -> &'static str {
        "apply the pending migrations"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect_and_tell("migrate").await?;
        let outcome = self.apply(cx, &mut session).await;
        // Its locks end with it, whatever happened.
        session.close().await;
        outcome
    }
}

impl Migrate {
    async fn apply(&self, cx: &mut Context, session: &mut Session) -> Result<StepReport> {
        let workspace = Arc::clone(&cx.workspace);
        let table = &workspace.config.history_table;
        // Looked at before the lock is asked for: nothing to do waits for nobody.
        let history = History::read(session, table).await?;
        if plan::up(&workspace.migrations, &history, self.to)?.is_empty() {
            return Ok(StepReport::done(format!("nothing to do, at version {}", at(&history))));
        }
        cx.refuse_pooler(session).await?;
        Applier::lock(session, &workspace.config.limits, &cx.events).await?;
        let history = History::read(session, table).await?;
        let plan = plan::up(&workspace.migrations, &history, self.to)?;
        for note in plan.notes() {
            cx.events.info(note.clone());
        }
        session.listen().await.map_err(Stopped::doing("listen to what the server says"))?;
        let watch = cx.watch_locks(session).await?;
        let mut applier = Applier {
            session,
            events: &cx.events,
            limits: &workspace.config.limits,
            history_table: table,
            run_id: &cx.run_id,
            alone: cx.settings.alone,
            watch,
        };
        applier.run(&plan).await?;
        Applier::unlock(session).await?;
        let history = History::read(session, table).await?;
        Ok(StepReport::done(format!(
            "{} applied, now at version {}",
            plural(plan.files().len() as u64, "migration"),
            at(&history)
        )))
    }
}

fn at(history: &History) -> i64 {
    history.latest_finished().unwrap_or_default()
}
