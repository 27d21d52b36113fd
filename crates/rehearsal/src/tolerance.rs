//! `[history]`: what of an untidy history is accepted, because somebody has looked at it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

/// Where the configuration says so, for messages.
pub const TABLE: &str = "[history]";

/// See the module. By default, nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tolerance {
    /// Pending versions that may be applied although a newer one is applied already.
    pub out_of_order: OutOfOrder,
    /// Applied versions whose files are gone for good.
    pub missing_files: BTreeSet<i64>,
}

/// Which versions may come late.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OutOfOrder {
    /// None, or all of them.
    Policy(Policy),
    /// These.
    Versions(BTreeSet<i64>),
    /// Nothing was said of it, which is `"refuse"`.
    #[default]
    #[serde(skip)]
    Unsaid,
}

/// A word for all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// No version may come late.
    Refuse,
    /// Any may.
    Allow,
}

impl Tolerance {
    /// Whether that version may be applied although a newer one is.
    #[must_use]
    pub fn lets_come_late(&self, version: i64) -> bool {
        match &self.out_of_order {
            OutOfOrder::Unsaid | OutOfOrder::Policy(Policy::Refuse) => false,
            OutOfOrder::Policy(Policy::Allow) => true,
            OutOfOrder::Versions(versions) => versions.contains(&version),
        }
    }

    /// Whether that applied version may be without a file.
    #[must_use]
    pub fn lets_be_missing(&self, version: i64) -> bool {
        self.missing_files.contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_a_list() {
        let read = |text: &str| toml::from_str::<Tolerance>(text);
        let lets = |text: &str| read(text).expect("it is read").lets_come_late(4);
        assert!(!lets("") && !lets("out_of_order = 'refuse'") && !lets("out_of_order = [5]"));
        assert!(lets("out_of_order = 'allow'") && lets("out_of_order = [4, 5]"));
        assert!(read("missing_files = [7]").expect("it is read").lets_be_missing(7));
        assert!(read("out_of_order = 'perhaps'").is_err() && read("late = true").is_err());
    }
}
