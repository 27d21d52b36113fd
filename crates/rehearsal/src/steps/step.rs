//! What a step is.

use async_trait::async_trait;

use crate::context::Context;
use crate::error::Result;
use crate::event::Outcome;

/// One thing that a run does. It works on the context's target, and cannot tell a sandbox from a
/// database that somebody depends on.
#[async_trait]
pub trait Step: Send + Sync {
    /// One word.
    fn name(&self) -> &'static str;

    /// What it does, as a short phrase.
    fn title(&self) -> &str;

    /// Whether it is run although a step before it failed or the user interrupted the run: it puts back
    /// what another one has changed.
    fn always(&self) -> bool {
        false
    }

    /// Does it.
    ///
    /// # Errors
    /// What went wrong; the run ends then.
    async fn run(&self, cx: &mut Context) -> Result<StepReport>;
}

/// How a step ended, when it did not fail.
#[derive(Debug, Clone)]
pub struct StepReport {
    /// Done, warned or skipped.
    pub outcome: Outcome,
    /// Its main figure, or why it was skipped.
    pub summary: String,
}

impl StepReport {
    /// Done.
    pub fn done(summary: impl Into<String>) -> Self {
        Self { outcome: Outcome::Done, summary: summary.into() }
    }

    /// Done, with something to look at.
    pub fn warned(summary: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warned, summary: summary.into() }
    }

    /// Not done, for a reason that is no failure.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, summary: reason.into() }
    }
}
