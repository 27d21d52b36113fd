//! Puts what people answered before the run into its record.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::questions::answers::Answer;
use crate::report::format::plural;

/// See the module.
pub struct Answered {
    /// What was answered with yes.
    pub answers: Vec<Answer>,
}

#[async_trait]
impl Step for Answered {
    fn name(&self) -> &'static str {
        "questions"
    }

    fn title(&self) -> &'static str {
        "what people answered"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut people: Vec<&str> = self.answers.iter().map(|answer| answer.by.as_str()).collect();
        people.sort_unstable();
        people.dedup();
        for answer in &self.answers {
            cx.events.emit(EventKind::Answer(answer.clone()));
        }
        let answered = plural(self.answers.len() as u64, "question");
        Ok(StepReport::done(format!("{answered} answered with yes, by {}", people.join(", "))))
    }
}
