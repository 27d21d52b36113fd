//! Makes an anonymised copy of a backup, for laptops and CI.

use async_trait::async_trait;

use super::backup::send;
use super::step::{Step, StepReport};
use crate::anonymise::copy::{self, Wanted};
use crate::anonymise::mark::{self, KeyOrigin};
use crate::backup::repository::staging::Staged;
use crate::backup::repository::upload::{self, Then};
use crate::context::Context;
use crate::error::Result;
use crate::report::format::{bytes, path, plural};

/// See the module.
pub struct Anonymise {
    /// What is wanted.
    pub wanted: Wanted,
}

#[async_trait]
impl Step for Anonymise {
    fn name(&self) -> &'static str {
        "anonymise"
    }

    fn title(&self) -> &'static str {
        "restore the backup into a sandbox, give every column its rule, dump, look for what must not be there"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let made = copy::make(cx, &self.wanted).await;
        self.remove_sent(cx)?;
        let made = made?;
        if self.wanted.key_origin == KeyOrigin::Random {
            cx.events.info("the key was made up and is gone: the next copy has other pseudonyms");
        }
        let place = if cx.workspace.config.backup.is_staged() {
            let repository = cx.repository(&mark::folder_name(&made.manifest.target))?;
            send(cx, &repository, &made.path, Then::Remove).await?
        } else {
            path(&made.path)
        };
        let summary = format!(
            "{} in {}, {}; {} under a rule, {} of them tried on planted values: {}",
            plural(made.manifest.rows(), "row"),
            plural(made.manifest.tables.len() as u64, "table"),
            bytes(made.manifest.bytes()),
            plural(made.columns as u64, "column"),
            made.planted,
            place
        );
        for text in &made.to_look_at {
            cx.events.warn(text.clone());
        }
        Ok(if made.to_look_at.is_empty() {
            StepReport::done(summary)
        } else {
            StepReport::warned(format!("{summary}; {} to look at", made.to_look_at.len()))
        })
    }
}

impl Anonymise {
    /// The backup of this run was kept for us after it was sent.
    fn remove_sent(&self, cx: &Context) -> Result<()> {
        let made =
            cx.backup.as_ref().filter(|_| self.wanted.backup.is_none() && cx.workspace.config.backup.is_staged());
        match made.and_then(|(folder, _)| Staged::of(folder.clone())) {
            Some(staged) => upload::remove_sent(&staged),
            None => Ok(()),
        }
    }
}
