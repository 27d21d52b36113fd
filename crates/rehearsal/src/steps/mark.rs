//! Records a version as applied without running it.

use std::sync::Arc;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::apply::Applier;
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::plan::{self, PlannedFile};
use crate::postgres::history::{self, Applied, History};
use crate::postgres::overrides;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;

/// See the module.
pub struct Mark {
    /// The version.
    pub version: i64,
    /// Why, where that cannot be proven.
    pub reason: Option<String>,
}

#[async_trait]
impl Step for Mark {
    fn name(&self) -> &'static str {
        "mark"
    }

    fn title(&self) -> &'static str {
        "record the version as applied"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect_and_tell("mark").await?;
        let outcome = self.mark(cx, &mut session).await;
        // Its locks end with it, whatever happened.
        session.close().await;
        outcome
    }
}

impl Mark {
    async fn mark(&self, cx: &mut Context, session: &mut Session) -> Result<StepReport> {
        let workspace = Arc::clone(&cx.workspace);
        let table = &workspace.config.history_table;
        cx.refuse_pooler(session).await?;
        Applier::lock(session, &workspace.config.limits, &cx.events).await?;
        let history = History::read(session, table).await?;
        let Some(file) = plan::mark(&workspace.migrations, &history, self.version)? else {
            return Ok(StepReport::done(format!("nothing to do, version {} is applied", self.version)));
        };
        history::ensure_table(session, table).await?;
        if let Some(reason) = &self.reason {
            overrides::ensure(session).await?;
            cx.events.emit(EventKind::Figure { name: "reason".into(), value: reason.clone() });
        }
        self.write(session, table, &file, &cx.run_id)
            .await
            .map_err(Stopped::doing(format!("record version {}", self.version)))?;
        Applier::unlock(session).await?;
        Ok(StepReport::done(format!("version {} is recorded as applied; nothing of it was run", self.version)))
    }

    async fn write(&self, session: &mut Session, table: &str, file: &PlannedFile, run_id: &str) -> Result<(), Stopped> {
        session.execute("BEGIN").await?;
        if file.resumes {
            history::set_checksum(session, table, file.version, &file.checksum).await?;
            history::set_success(session, table, file.version, true, None).await?;
        } else {
            let row = Applied {
                version: file.version,
                description: file.description.clone(),
                success: true,
                checksum: file.checksum.clone(),
            };
            // No time: what was not run took none, which sqlx writes as -1.
            history::insert(session, table, &row, None).await?;
        }
        if let Some(reason) = &self.reason {
            overrides::keep(session, file.version, "mark-applied", reason, run_id).await?;
        }
        session.execute("COMMIT").await.map(drop)
    }
}
