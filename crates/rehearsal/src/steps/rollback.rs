//! Undoes migrations, newest first.

use std::sync::Arc;

use async_trait::async_trait;

use super::counted::{self, Counted};
use super::step::{Step, StepReport};
use crate::apply::Applier;
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::losses;
use crate::plan::{self, Back};
use crate::postgres::history::History;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::report::format::plural;

/// See the module.
pub struct Rollback {
    /// Where it ends.
    pub back: Back,
}

#[async_trait]
impl Step for Rollback {
    fn name(&self) -> &'static str {
        "rollback"
    }

    fn title(&self) -> &'static str {
        "undo the migrations, newest first"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect_and_tell("rollback").await?;
        let outcome = self.undo(cx, &mut session).await;
        // Its locks end with it, whatever happened.
        session.close().await;
        outcome
    }
}

impl Rollback {
    async fn undo(&self, cx: &mut Context, session: &mut Session) -> Result<StepReport> {
        let workspace = Arc::clone(&cx.workspace);
        let table = &workspace.config.history_table;
        cx.refuse_pooler(session).await?;
        Applier::lock(session, &workspace.config.limits, &cx.events).await?;
        let history = History::read(session, table).await?;
        let plan = plan::down(&workspace.migrations, &history, self.back.clone())?;
        for note in plan.notes() {
            cx.events.info(note.clone());
        }
        // Counted now: by the next line it is gone.
        let limit = workspace.config.limits.check_timeout;
        for Counted { what, amount } in counted::count(session, &losses::of(&plan), limit).await? {
            cx.events.emit(EventKind::Loss { what, amount });
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
            "{} undone, now at version {}",
            plural(plan.files().len() as u64, "migration"),
            history.latest_finished().unwrap_or_default()
        )))
    }
}
