//! Sends backups that are made and wait on this machine.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::repository::staging::Staged;
use crate::backup::repository::upload::{self, Then};
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::report::format::{bytes, plural};

/// See the module.
pub struct Upload {
    /// Whose.
    pub target: String,
    /// Which.
    pub waiting: Vec<Staged>,
}

#[async_trait]
impl Step for Upload {
    fn name(&self) -> &'static str {
        "upload"
    }

    fn title(&self) -> &'static str {
        "send the backups that wait on this machine"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let repository = cx.repository(&self.target)?;
        let recipients = &cx.workspace.config.backup.recipients;
        let mut done = 0;
        for staged in &self.waiting {
            match upload::upload(&repository, staged, Then::Remove, recipients, &cx.events, &cx.cancel).await? {
                Some(sent) => {
                    done += 1;
                    let value = format!(
                        "{} sent, {} there already, {}",
                        plural(sent.files as u64, "file"),
                        sent.there,
                        bytes(sent.bytes)
                    );
                    cx.events.emit(EventKind::Figure { name: staged.id.clone(), value });
                }
                None => cx.events.warn(format!("another run is sending {}", staged.id)),
            }
        }
        let summary = format!("{} to {}", plural(done, "backup"), repository.place());
        Ok(if done == self.waiting.len() as u64 { StepReport::done(summary) } else { StepReport::warned(summary) })
    }
}
