//! Goes over to the copy that proved the backup: the rest of the run works there.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::proof::PROOF_DATABASE;
use crate::context::Context;
use crate::error::Result;
use crate::postgres::query::Stopped;
use crate::report::format::plural;

/// What the copy is called from now on: the next proof makes a database of the old name.
const COPY_DATABASE: &str = "rehearsal_copy";

/// See the module.
pub struct EnterCopy;

#[async_trait]
impl Step for EnterCopy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn title(&self) -> &'static str {
        "go over to the restored copy"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let cancel = cx.cancel.clone();
        let Some((_, original)) = cx.backup.clone() else {
            return Ok(StepReport::skipped("there is no backup to go over to"));
        };
        let sandbox = cx.sandbox(None, None).await?;
        let maintenance = sandbox.database("postgres");
        let described = format!("PostgreSQL {} ({})", sandbox.version(), sandbox.provider());
        let mut session = crate::postgres::Session::connect(&maintenance, "copy", &cancel).await?;
        let rename = format!("ALTER DATABASE {PROOF_DATABASE} RENAME TO {COPY_DATABASE}");
        session.execute(&rename).await.map_err(Stopped::doing("take over the restored copy"))?;
        session.close().await;
        let (copy, unknown) = sandbox.enter_as(&original.surroundings, COPY_DATABASE, &cancel).await?;
        for setting in unknown {
            cx.events.warn(format!("the sandbox does not take the target's setting {setting}"));
        }
        let copy = copy.with_settings_of(cx.target()?);
        cx.enter(copy)?;
        let mut session = cx.connect_and_tell("copy").await?;
        // A restored database has no statistics: plans and checks would be those of an empty one.
        session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare the copy"))?;
        session.execute("ANALYZE").await.map_err(Stopped::doing("analyse the copy"))?;
        session.close().await;
        let (reader, role) = (&original.surroundings.role, original.surroundings.migrating_role());
        let summary = format!(
            "{described} as role {role}, {} in {}",
            plural(original.rows(), "row"),
            plural(original.tables.len() as u64, "table")
        );
        if role != reader {
            return Ok(StepReport::warned(format!(
                "{summary}; role {reader} may create nothing there, so the owner takes its place: the real run needs a role that may"
            )));
        }
        Ok(StepReport::done(summary))
    }
}
