//! Runs a hook. Around which runs it stands, the lists decide.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::hooks::call::Call;
use crate::hooks::hook::When;

/// See the module.
pub struct RunHook {
    /// What is run.
    pub call: Call,
}

#[async_trait]
impl Step for RunHook {
    fn name(&self) -> &'static str {
        "hook"
    }

    fn title(&self) -> &str {
        &self.call.hook.name
    }

    fn always(&self) -> bool {
        self.call.hook.when == When::Always
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let (done, outcome) = self.call.run(&cx.run_id, cx.so_far, &cx.cancel).await?;
        let summary = format!("{}: {}", done.name, done.ending);
        cx.events.emit(EventKind::Hook(done));
        outcome.map(|()| StepReport::done(summary))
    }
}
