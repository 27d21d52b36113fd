//! Which rules of the linter (squawk) speak, and why the others do not.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use squawk_linter::{Linter, Rule};

/// Rules that are about another way to run migrations than this one, with the reason.
pub const OFF: [(Rule, &str); 13] = [
    (Rule::RequireTimeoutSettings, "every statement runs under the limits of rehearsal.toml"),
    (Rule::RequireLockTimeout, "every statement runs under the limits of rehearsal.toml"),
    (Rule::RequireStatementTimeout, "every statement runs under the limits of rehearsal.toml"),
    (Rule::PreferRobustStmts, "the journal knows what is done, and IF NOT EXISTS passes over an INVALID index"),
    (Rule::TransactionNesting, "transaction control in a file is refused before anything runs"),
    (Rule::BanUncommittedTransaction, "transaction control in a file is refused before anything runs"),
    (Rule::BanConcurrentIndexCreationInTransaction, "such a statement is sent outside of a transaction by itself"),
    (Rule::PreferBigintOverInt, "how far a number goes is known to those who chose its type"),
    (Rule::PreferBigintOverSmallint, "how far a number goes is known to those who chose its type"),
    (Rule::PreferTextField, "a limit on a text may be meant, and can be widened without a rewrite"),
    (Rule::ChangingColumnType, "`plan` tells by the column's type whether the table is written anew"),
    (Rule::BanDropConstraint, "SET NOT NULL by way of a valid CHECK ends with dropping it"),
    (Rule::RequireEnumValueOrdering, "the end is where most new values belong"),
];

/// Rules about what running code may lose. They speak where the code of the release before has to go on
/// working: not behind the expand part of a release, where the code is gone, and not on the way back.
pub const COMPATIBILITY: [Rule; 18] = [
    Rule::BanAlterIdentity,
    Rule::BanDropColumn,
    Rule::BanDropDefault,
    Rule::BanDropDomain,
    Rule::BanDropExtension,
    Rule::BanDropFunction,
    Rule::BanDropGeneratedExpression,
    Rule::BanDropNotNull,
    Rule::BanDropSchema,
    Rule::BanDropSequence,
    Rule::BanDropTable,
    Rule::BanDropType,
    Rule::BanDropView,
    Rule::BanSetSchema,
    Rule::RenamingColumn,
    Rule::RenamingObject,
    Rule::RenamingTable,
    Rule::AddingRequiredField,
];

/// `[lint]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LintConfig {
    /// Rules that are to be silent, by the linter's names.
    pub off: Vec<String>,
    /// Rules that speak although they do not by default; the linter's own opt-in rules as well.
    pub on: Vec<String>,
}

impl LintConfig {
    /// The first name that is no rule's, with those that are.
    pub(crate) fn complaint(&self) -> Option<String> {
        let unknown = self.off.iter().chain(&self.on).find(|name| name.parse::<Rule>().is_err())?;
        let defaults = Linter::with_default_rules();
        let known: BTreeSet<String> = defaults.rules.iter().map(ToString::to_string).collect();
        let known: Vec<String> = known.into_iter().collect();
        Some(format!("lint: there is no rule `{unknown}`; the linter knows: {}", known.join(", ")))
    }

    /// The rules that speak about a file.
    pub(super) fn rules(&self, keeps_code_working: bool) -> Vec<Rule> {
        let named = |names: &[String]| names.iter().filter_map(|name| name.parse().ok()).collect::<Vec<Rule>>();
        let on = named(&self.on);
        let mut off: Vec<Rule> = OFF.iter().map(|(rule, _)| *rule).collect();
        if !keeps_code_working {
            off.extend(COMPATIBILITY);
        }
        off.retain(|rule| !on.contains(rule));
        off.extend(named(&self.off));
        Linter::with_rules(&on, &off).rules.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_wins() {
        let config = LintConfig { off: vec!["ban-char-field".into()], on: vec!["prefer-robust-stmts".into()] };
        let rules = config.rules(true);
        assert!(rules.contains(&Rule::PreferRobustStmts) && !rules.contains(&Rule::BanCharField));
        assert!(rules.contains(&Rule::BanDropColumn) && !rules.contains(&Rule::RequireLockTimeout));
        assert!(!config.rules(false).contains(&Rule::BanDropColumn));
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let config = LintConfig { off: vec!["ban-everything".into()], on: Vec::new() };
        let complaint = config.complaint().expect("it is no rule");
        assert!(complaint.contains("no rule `ban-everything`") && complaint.contains("ban-drop-column"), "{complaint}");
    }
}
