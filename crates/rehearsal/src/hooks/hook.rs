//! `[[hooks]]`: what is run around `migrate` and `rollback` on a target.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::human_time::HumanTime;
use crate::occasion::{Act, Known, Occasion, Scope};

/// How long a hook may take. A service that is started anew answers the requests that are under way first,
/// for which systemd waits 90 s by default (`DefaultTimeoutStopSec`), and then comes up: three times that,
/// rounded up.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// When it is run.
    pub when: When,
    /// Around which commands.
    #[serde(default = "both")]
    pub on: Vec<Act>,
    /// On which targets; on each of them without one.
    #[serde(default)]
    pub targets: Vec<String>,
    /// With which releases; with any without one.
    #[serde(default)]
    pub releases: Vec<String>,
    /// The program and its arguments. No shell is between.
    pub run: Vec<String>,
    /// How long it may take.
    #[serde(default = "default_limit", with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub limit: Duration,
    /// The variables of our own environment that it gets besides `PATH`, `HOME` and the like. Their values
    /// show nowhere.
    #[serde(default)]
    pub secrets: Vec<String>,
}

/// When a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before anything is written. If it fails, nothing is.
    Before,
    /// After all went well.
    After,
    /// At the end, also when something failed or the user interrupted it.
    Always,
}

impl When {
    /// As the file has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Always => "always",
        }
    }
}

fn both() -> Vec<Act> {
    vec![Act::Migrate, Act::Rollback]
}

fn default_limit() -> Duration {
    DEFAULT_LIMIT
}

impl Hook {
    /// Whether it is run around that.
    #[must_use]
    pub fn applies(&self, run: &Occasion) -> bool {
        self.scope().holds(run)
    }

    /// Program and arguments as people read them.
    #[must_use]
    pub fn words(&self) -> String {
        self.run.join(" ")
    }

    fn scope(&self) -> Scope<'_> {
        Scope { on: &self.on, targets: &self.targets, releases: &self.releases }
    }

    fn complaint(&self, known: &Known<'_>) -> Option<String> {
        if self.name.trim().is_empty() {
            return Some("it needs a name".into());
        }
        if self.run.first().is_none_or(|program| program.trim().is_empty()) {
            return Some("`run` must name a program".into());
        }
        if self.limit.is_zero() {
            return Some("`limit` must be more than nothing".into());
        }
        self.scope().complaint(known)
    }
}

/// The first hook that cannot be meant, by its place in the list, and why.
pub(crate) fn complaint(hooks: &[Hook], known: &Known<'_>) -> Option<(usize, String)> {
    hooks.iter().enumerate().find_map(|(index, hook)| {
        let taken = hooks[..index].iter().any(|other| other.name == hook.name);
        let reason = hook.complaint(known).or_else(|| taken.then(|| "there is another one of that name".into()))?;
        Some((index, format!("hook `{}`: {reason}", hook.name)))
    })
}
