//! Environment variables: what the workspace's rules say of them, and what hooks and smoke tests need.

use std::ffi::OsString;

use super::finding::{Area, Finding};
use super::variable::{Form, Variable};
use crate::config::Config;
use crate::error::Kind;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The target's name.
    pub target: &'a str,
    /// The command, or what else is to be known to work.
    pub purpose: Option<&'a str>,
}

/// Looks at all variables that matter for the target. `value_of` reads the environment.
pub fn look(config: &Config, wanted: Wanted<'_>, value_of: impl Fn(&str) -> Option<OsString>) -> Vec<Finding> {
    let rules = config.variables.iter().filter(|variable| variable.applies(wanted.target)).cloned();
    let all: Vec<Variable> = rules.chain(of_hooks(config, wanted.target)).chain(of_smoke_tests(config)).collect();
    let concerned = all.iter().filter(|variable| {
        let purposes = &variable.needed_by;
        wanted.purpose.is_none_or(|purpose| purposes.is_empty() || purposes.iter().any(|name| name == purpose))
    });
    concerned.filter_map(|variable| judge(variable, wanted.purpose, value_of(&variable.name))).collect()
}

/// Whether somebody says that this needs variables.
#[must_use]
pub fn is_known(config: &Config, purpose: &str) -> bool {
    config.variables.iter().flat_map(|variable| &variable.needed_by).any(|name| name == purpose)
}

fn of_hooks<'a>(config: &'a Config, target: &'a str) -> impl Iterator<Item = Variable> + 'a {
    let here = move |targets: &[String]| targets.is_empty() || targets.iter().any(|name| name == target);
    config.hooks.iter().filter(move |hook| here(&hook.targets)).flat_map(|hook| {
        let needed_by: Vec<String> = hook.on.iter().map(|act| act.as_str().to_owned()).collect();
        hook.secrets.iter().map(move |name| plain(name, needed_by.clone()))
    })
}

fn of_smoke_tests(config: &Config) -> impl Iterator<Item = Variable> {
    // Those of [app] are made up at every start.
    let names = config.smoke.iter().flat_map(|test| test.secrets.values());
    names.filter(|name| !config.app.secrets.contains(name)).map(|name| plain(name, vec!["smoke".into()]))
}

/// A variable of which nothing is known but that it is needed.
fn plain(name: &str, needed_by: Vec<String>) -> Variable {
    Variable {
        name: name.into(),
        targets: Vec::new(),
        needed_by,
        optional: false,
        form: Form::Text,
        schemes: Vec::new(),
        one_of: Vec::new(),
        none_of: Vec::new(),
        min: None,
        max: None,
        min_length: None,
        max_length: None,
        example: None,
    }
}

fn judge(variable: &Variable, purpose: Option<&str>, value: Option<OsString>) -> Option<Finding> {
    let name = &variable.name;
    let remedy = || match &variable.example {
        Some(example) => format!("set {name}, for example: {example}"),
        None => format!("set {name}"),
    };
    let problem = |what: String| Some(Finding::problem(Area::Variables, Kind::Usage, what, remedy()));
    // Many shells and platforms cannot unset a variable: an empty one counts as absent.
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return match (variable.optional, &*variable.needed_by) {
            (true, _) => None,
            (false, []) => problem(format!("{name} is not set")),
            (false, needed_by) if purpose.is_some() => {
                problem(format!("{name} is not set, and {} needs it", needed_by.join(", ")))
            }
            (false, needed_by) => Some(Finding::warning(
                Area::Variables,
                format!("{name} is not set; needed by: {}", needed_by.join(", ")),
                remedy(),
            )),
        };
    };
    let Ok(value) = value.into_string() else { return problem(format!("{name} is not valid UTF-8")) };
    match variable.complaint_about(&value) {
        Some(complaint) => problem(format!("{name} {complaint}")),
        None => Some(Finding::ok(Area::Variables, format!("{name} is set and well-formed"))),
    }
}
