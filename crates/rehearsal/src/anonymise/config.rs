//! `[anonymise]` of `rehearsal.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::pattern::Pattern;
use super::rule::Rule;

/// See the module.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnonymiseConfig {
    /// Tables that hold nothing of anybody: their columns need no rule. `table` or `schema.table`.
    pub public: Vec<String>,
    /// What becomes of whole numbers and UUIDs that are primary or foreign keys and have no rule.
    pub keys: Option<Keys>,
    /// What becomes of large objects. Nothing can be said of their contents.
    pub large_objects: Option<LargeObjects>,
    /// Rules by `table.column` or `schema.table.column`, `*` for anything.
    pub columns: BTreeMap<String, Rule>,
}

/// See [`AnonymiseConfig::keys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// They stay.
    Keep,
}

/// See [`AnonymiseConfig::large_objects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LargeObjects {
    /// They stay.
    Keep,
    /// They go.
    Drop,
}

impl AnonymiseConfig {
    /// What is wrong with it, if something is.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let (tables, columns) =
            (self.public.iter().map(|name| (name, 1..=2)), self.columns.keys().map(|name| (name, 2..=3)));
        tables.chain(columns).find_map(|(name, parts)| match Pattern::parse(name) {
            Ok(pattern) if parts.contains(&pattern.len()) => None,
            Ok(_) if *parts.start() == 1 => Some(format!("anonymise.public: `{name}` must be table or schema.table")),
            Ok(_) => Some(format!("anonymise.columns: `{name}` must be table.column or schema.table.column")),
            Err(reason) => Some(format!("anonymise: {reason}")),
        })
    }

    /// The patterns of public tables, with how they are written.
    pub(super) fn public_tables(&self) -> impl Iterator<Item = (&str, Pattern)> {
        self.public.iter().filter_map(|name| Some((name.as_str(), Pattern::parse(name).ok()?)))
    }

    /// The patterns of columns with their rules, and how they are written.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&str, Pattern, &Rule)> {
        self.columns.iter().filter_map(|(name, rule)| Some((name.as_str(), Pattern::parse(name).ok()?, rule)))
    }
}
