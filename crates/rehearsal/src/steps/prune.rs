//! Removes the backups that it was decided to remove.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::repository::prune::Removed;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::report::format::plural;

/// See the module.
pub struct Prune {
    /// Whose.
    pub target: String,
    /// Backups, oldest first.
    pub backups: Vec<String>,
    /// What is no backup, and nobody's.
    pub abandoned: Vec<String>,
}

#[async_trait]
impl Step for Prune {
    fn name(&self) -> &'static str {
        "prune"
    }

    fn title(&self) -> &'static str {
        "remove the backups that no rule keeps, their manifests first"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let repository = cx.repository(&self.target)?;
        let (mut gone, mut read) = (0, 0);
        for id in &self.backups {
            if cx.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            match repository.prune(id).await? {
                Removed::Gone => {
                    gone += 1;
                    cx.events.emit(EventKind::Figure { name: "removed".into(), value: repository.place_of(id) });
                }
                Removed::Read => {
                    read += 1;
                    cx.events.warn(format!("{id} stays: somebody reads it"));
                }
            }
        }
        for id in &self.abandoned {
            repository.clear(id).await?;
            cx.events.emit(EventKind::Figure { name: "cleared".into(), value: repository.place_of(id) });
        }
        let summary = match self.abandoned.len() {
            0 => format!("{} removed", plural(gone, "backup")),
            left => format!("{} removed, and what was left of {left} more", plural(gone, "backup")),
        };
        Ok(if read == 0 { StepReport::done(summary) } else { StepReport::warned(format!("{summary}, {read} in use")) })
    }
}
