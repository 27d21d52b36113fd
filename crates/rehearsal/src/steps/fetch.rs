//! Brings a backup from where it is kept into a folder that goes at the end.

use std::path::PathBuf;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::repository::fetch::fetch;
use crate::backup::repository::reference::Named;
use crate::context::Context;
use crate::error::Result;
use crate::report::format::{bytes, plural};

/// See the module.
pub struct Fetch {
    /// Which one.
    pub named: Named,
    /// Where to.
    pub into: PathBuf,
}

#[async_trait]
impl Step for Fetch {
    fn name(&self) -> &'static str {
        "fetch"
    }

    fn title(&self) -> &'static str {
        "bring the backup here, every byte against its digest"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let identities = cx.identities()?;
        let Named { repository, id } = &self.named;
        let manifest = fetch(repository, id, &self.into, identities.as_ref(), &cx.events, &cx.cancel).await?;
        Ok(StepReport::done(format!(
            "{} in {} from {}",
            bytes(manifest.bytes()),
            plural(manifest.files.len() as u64, "file"),
            repository.place_of(id)
        )))
    }
}
