//! `[[questions]]`: what only a person can answer before `migrate` or `rollback` on a target.

use chrono::Utc;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answers::Answer;
use crate::occasion::{Act, Known, Occasion, Scope};

/// See the module.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Names it on the command line: letters, digits and hyphens.
    pub id: String,
    /// The question, to be answered with yes.
    pub ask: String,
    /// Before which commands.
    #[serde(default = "before_migrate")]
    pub on: Vec<Act>,
    /// On which targets; on each of them without one.
    #[serde(default)]
    pub targets: Vec<String>,
    /// With which releases; with any without one.
    #[serde(default)]
    pub releases: Vec<String>,
}

fn before_migrate() -> Vec<Act> {
    vec![Act::Migrate]
}

impl Question {
    /// Whether it is asked before that.
    #[must_use]
    pub fn applies(&self, run: &Occasion) -> bool {
        self.scope().holds(run)
    }

    /// Somebody's answer, given now.
    #[must_use]
    pub fn answered(&self, yes: bool, by: &str) -> Answer {
        Answer { id: self.id.clone(), ask: self.ask.clone(), yes, by: by.into(), at: Utc::now() }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { on: &self.on, targets: &self.targets, releases: &self.releases }
    }

    fn complaint(&self, known: &Known<'_>) -> Option<String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.id.is_empty() || !self.id.chars().all(is_word) {
            return Some("`id` must be made of letters, digits and hyphens".into());
        }
        if self.ask.trim().is_empty() {
            return Some("`ask` must be a question".into());
        }
        self.scope().complaint(known)
    }
}

/// The first question that cannot be meant, by its place in the list, and why.
pub(crate) fn complaint(questions: &[Question], known: &Known<'_>) -> Option<(usize, String)> {
    questions.iter().enumerate().find_map(|(index, question)| {
        let taken = questions[..index].iter().any(|other| other.id == question.id);
        let reason = question.complaint(known).or_else(|| taken.then(|| "there is another one of that id".into()))?;
        Some((index, format!("question `{}`: {reason}", question.id)))
    })
}
