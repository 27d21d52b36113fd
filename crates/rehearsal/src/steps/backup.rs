//! Makes a backup, which counts only once it has been restored and compared.

use std::path::Path;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::repository::Repository;
use crate::backup::repository::staging::Staged;
use crate::backup::repository::upload::{self, Then};
use crate::backup::{ProofLevel, dump};
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::report::format::{bytes, plural};

/// See the module.
pub struct Backup {
    /// How much of it is proven. Without one a change comes next, which needs a proven one: what the
    /// configuration says, but never nothing.
    pub proof: Option<ProofLevel>,
    /// The next step reads its files, and removes those of them that were sent.
    pub read_next: bool,
}

#[async_trait]
impl Step for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn title(&self) -> &'static str {
        match self.proof {
            Some(ProofLevel::None) => "dump, without a proof",
            _ => "dump, restore into a sandbox, compare",
        }
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let configured = cx.workspace.config.backup.proof;
        let level = self.proof.unwrap_or_else(|| configured.before_a_change());
        let sent_to = cx.sent_to()?;
        if let Some(repository) = &sent_to {
            // Before a dump that may take hours.
            repository.reach().await?;
        }
        let (folder, manifest) = dump::make(cx, level).await?;
        let place = match &sent_to {
            Some(repository) => {
                let then = if self.read_next { Then::Keep } else { Then::Remove };
                send(cx, repository, &folder, then).await?
            }
            None => crate::report::format::path(&folder),
        };
        let size = format!(
            "{} in {}, {}",
            plural(manifest.rows(), "row"),
            plural(manifest.tables.len() as u64, "table"),
            bytes(manifest.bytes()),
        );
        let report = match (manifest.proven(), &manifest.proof.provider) {
            (Some(ProofLevel::Full), Some(provider)) => {
                StepReport::done(format!("{size}; restored into a {provider} sandbox and equal: {place}"))
            }
            (Some(_), Some(provider)) => StepReport::done(format!(
                "{size}; restored into a {provider} sandbox, schema and counts equal: {place}"
            )),
            _ => StepReport::warned(format!("{size}; not proven, it counts for no change: {place}")),
        };
        cx.backup = Some((folder, manifest));
        Ok(report)
    }
}

/// Sends what is proven to where it belongs, and says where that is.
pub(super) async fn send(cx: &Context, repository: &Repository, made: &Path, then: Then) -> Result<String> {
    let config = &cx.workspace.config.backup;
    let Some(staged) = Staged::of(made.to_owned()) else { return Ok(crate::report::format::path(made)) };
    let place = repository.place_of(&staged.id);
    match upload::upload(repository, &staged, then, &config.recipients, &cx.events, &cx.cancel).await? {
        Some(sent) => {
            cx.events.emit(EventKind::BackupSent { place: place.clone() });
            cx.events.emit(EventKind::Figure {
                name: "sent".into(),
                value: format!("{} in {}", bytes(sent.bytes), plural((sent.files + sent.there) as u64, "file")),
            });
        }
        None => cx.events.warn(format!("another run is sending {}: look at it with `db-backup list`", staged.id)),
    }
    Ok(place)
}
