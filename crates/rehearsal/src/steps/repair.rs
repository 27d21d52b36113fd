//! Records an edited file as it is now.

use std::sync::Arc;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::apply::Applier;
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::postgres::history::{self, History};
use crate::postgres::overrides;
use crate::postgres::query::Stopped;
use crate::postgres::schema::hex;
use crate::postgres::session::Session;
use crate::repair::{self, Checksums};

/// See the module.
pub struct Repair {
    /// The version.
    pub version: i64,
    /// Why the file was edited.
    pub reason: String,
}

#[async_trait]
impl Step for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn title(&self) -> &'static str {
        "record the file as it is now"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect_and_tell("repair").await?;
        let outcome = self.repair(cx, &mut session).await;
        // Its locks end with it, whatever happened.
        session.close().await;
        outcome
    }
}

impl Repair {
    async fn repair(&self, cx: &mut Context, session: &mut Session) -> Result<StepReport> {
        let workspace = Arc::clone(&cx.workspace);
        let table = &workspace.config.history_table;
        let version = self.version;
        cx.refuse_pooler(session).await?;
        Applier::lock(session, &workspace.config.limits, &cx.events).await?;
        let history = History::read(session, table).await?;
        let Some(Checksums { recorded, file }) = repair::checksums(&workspace.migrations, &history, version)? else {
            return Ok(StepReport::done(format!("nothing to do, version {version} is recorded as its file is")));
        };
        overrides::ensure(session).await?;
        for (name, value) in [
            ("reason", self.reason.clone()),
            ("checksum that was recorded", hex(&recorded)),
            ("checksum of the file", hex(&file)),
        ] {
            cx.events.emit(EventKind::Figure { name: name.into(), value });
        }
        let write = async {
            session.execute("BEGIN").await?;
            history::replace_checksum(session, table, version, &recorded, &file).await?;
            overrides::keep(session, version, "repair", &self.reason, &cx.run_id).await?;
            session.execute("COMMIT").await.map(drop)
        };
        write.await.map_err(Stopped::doing(format!("record the file of version {version}")))?;
        Applier::unlock(session).await?;
        cx.events.warn("whether the database is what the edited file would make of it was not looked at");
        Ok(StepReport::done(format!("version {version} is recorded as its file is now")))
    }
}
