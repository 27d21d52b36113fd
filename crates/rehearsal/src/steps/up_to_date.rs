//! There is nothing to do, and that is said.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::context::Context;
use crate::error::Result;

/// See the module.
pub struct UpToDate {
    /// The version that the database is at.
    pub at: i64,
}

impl UpToDate {
    /// Its name.
    pub const NAME: &'static str = "up-to-date";
}

#[async_trait]
impl Step for UpToDate {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn title(&self) -> &'static str {
        "nothing is pending"
    }

    async fn run(&self, _cx: &mut Context) -> Result<StepReport> {
        Ok(StepReport::done(format!("nothing to do, at version {}", self.at)))
    }
}
