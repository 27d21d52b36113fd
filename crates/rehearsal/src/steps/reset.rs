//! Puts the sandbox's database back to where it began: as a copy of the one that proved the backup, file by file,
//! and not by another restore.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::proof::PROOF_DATABASE;
use crate::context::Context;
use crate::error::Result;
use crate::postgres::query::Stopped;
use crate::report::format::plural;

/// See the module.
pub struct Reset;

#[async_trait]
impl Step for Reset {
    fn name(&self) -> &'static str {
        "reset"
    }

    fn title(&self) -> &'static str {
        "put the sandbox back to where it began"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let cancel = cx.cancel.clone();
        let target = cx.target()?.clone();
        let Some((_, proven)) = cx.backup.clone() else {
            return Ok(StepReport::skipped("nothing was restored that could be copied"));
        };
        let sandbox = cx.sandbox(None, None).await?;
        let name = target.database().to_owned();
        let original = sandbox.database(PROOF_DATABASE);
        sandbox.copy_database(&original, &name, &cancel).await?;
        // Owner and settings are the database's own, and no copy has them.
        sandbox.enter_as(&proven.surroundings, &name, &cancel).await?;
        let mut session = cx.connect("reset").await?;
        session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare the copy"))?;
        session.execute("ANALYZE").await.map_err(Stopped::doing("analyse the copy"))?;
        session.close().await;
        Ok(StepReport::done(format!("{} as they were, copied", plural(proven.rows(), "row"))))
    }
}
