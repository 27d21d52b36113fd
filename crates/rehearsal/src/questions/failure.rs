//! Why a run that asks does not begin.

use crate::error::Kind;

/// Questions are not answered, or not with yes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// Nobody has answered.
    #[error("{command} on `{target}` asks first, and nobody has answered: {}", open.join(" · "))]
    Unanswered {
        /// The command.
        command: &'static str,
        /// The target.
        target: String,
        /// The questions.
        open: Vec<String>,
        /// The command line that answers.
        answering: String,
    },
    /// Somebody has said no.
    #[error("{by} answered no: {}", questions.join(" · "))]
    No {
        /// Who.
        by: String,
        /// The questions.
        questions: Vec<String>,
        /// The command line that answers.
        answering: String,
    },
    /// No such question.
    #[error("there is no question `{id}`; rehearsal.toml knows: {known}")]
    Unknown {
        /// What was answered.
        id: String,
        /// What there is.
        known: String,
    },
}

impl QuestionError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unanswered { .. } | Self::No { .. } => Kind::Refused,
            Self::Unknown { .. } => Kind::Usage,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unanswered { answering, .. } => format!("run it at a terminal, or once all of it is so: {answering}"),
            Self::No { answering, .. } => format!("see to it, then: {answering}"),
            Self::Unknown { .. } => "`cargo xtask plan` shows the open questions".into(),
        }
    }
}
