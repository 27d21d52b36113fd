//! Makes a backup, which counts only once it has been restored and compared.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::dump;
use crate::context::Context;
use crate::error::Result;
use crate::report::format::{bytes, plural};

/// See the module.
pub struct Backup;

#[async_trait]
impl Step for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn title(&self) -> &'static str {
        "dump, restore into a sandbox, compare"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let (path, manifest) = dump::make(cx).await?;
        let summary = format!(
            "{} in {}, {}; restored into {} and equal: {}",
            plural(manifest.rows(), "row"),
            plural(manifest.tables.len() as u64, "table"),
            bytes(manifest.bytes()),
            format_args!("a {} sandbox", manifest.proof.provider),
            crate::report::format::path(&path)
        );
        cx.backup = Some((path, manifest));
        Ok(StepReport::done(summary))
    }
}
