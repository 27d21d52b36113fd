//! Which runs on a target a hook or a question belongs to: `on`, `targets` and `releases`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// `migrate`
    Migrate,
    /// `rollback`
    Rollback,
}

impl Act {
    /// The command's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Rollback => "rollback",
        }
    }
}

/// A run on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    /// What is done.
    pub act: Act,
    /// The target's name.
    pub target: String,
    /// The releases that its migrations belong to, oldest first.
    pub releases: Vec<String>,
}

/// The runs that are meant. An empty list of targets or releases means any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub on: &'a [Act],
    pub targets: &'a [String],
    pub releases: &'a [String],
}

/// What `rehearsal.toml` knows that a scope may name.
pub(crate) struct Known<'a> {
    pub targets: Vec<&'a str>,
    pub releases: Vec<&'a str>,
}

impl Scope<'_> {
    /// Whether a run is meant.
    pub(crate) fn holds(self, run: &Occasion) -> bool {
        self.on.contains(&run.act)
            && (self.targets.is_empty() || self.targets.contains(&run.target))
            && (self.releases.is_empty() || self.releases.iter().any(|release| run.releases.contains(release)))
    }

    /// What cannot be meant: a misspelt target would be one that nothing guards.
    pub(crate) fn complaint(self, known: &Known<'_>) -> Option<String> {
        let unknown = |names: &[String], known: &[&str]| {
            names.iter().find(|name| !known.contains(&name.as_str())).cloned().map(|name| (name, known.join(", ")))
        };
        if self.on.is_empty() {
            return Some("`on` must name `migrate` or `rollback`".into());
        }
        if let Some((name, known)) = unknown(self.targets, &known.targets) {
            return Some(format!("there is no target `{name}`; rehearsal.toml knows: {known}"));
        }
        let (name, known) = unknown(self.releases, &known.releases)?;
        Some(format!("there is no release `{name}`; rehearsal.toml knows: {known}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_means_any_and_a_named_one_must_hold() {
        let run = |target: &str, releases: &[&str]| Occasion {
            act: Act::Migrate,
            target: target.into(),
            releases: releases.iter().map(|name| (*name).to_owned()).collect(),
        };
        let (targets, releases) = (["staging".to_owned()], ["R2".to_owned()]);
        let any = Scope { on: &[Act::Migrate], targets: &[], releases: &[] };
        assert!(any.holds(&run("dev", &[])));
        assert!(!Scope { on: &[Act::Rollback], ..any }.holds(&run("dev", &[])));
        let named = Scope { targets: &targets, releases: &releases, ..any };
        assert!(named.holds(&run("staging", &["R1", "R2"])));
        assert!(!named.holds(&run("dev", &["R2"])) && !named.holds(&run("staging", &[])));
    }
}
