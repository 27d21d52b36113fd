//! `[[variables]]`: what must stand in the environment, and how.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use url::{Host, Url};

use crate::target::{Target, TargetError};

/// See the module.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// For which targets; for each of them without one.
    #[serde(default)]
    pub targets: Vec<String>,
    /// What does not work without it: commands, or anything else that `doctor --for` is to ask about. Without one,
    /// nothing does.
    #[serde(default)]
    pub needed_by: Vec<String>,
    /// It may be absent; only what it holds is looked at.
    #[serde(default)]
    pub optional: bool,
    /// How it is written.
    #[serde(default)]
    pub form: Form,
    /// With which schemes, where it is a URL or origins; with any without one.
    #[serde(default)]
    pub schemes: Vec<String>,
    /// The only values that it may have.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// Values that it must not have: those of examples, which somebody forgot to replace.
    #[serde(default)]
    pub none_of: Vec<String>,
    /// The lowest number.
    pub min: Option<i64>,
    /// The highest number.
    pub max: Option<i64>,
    /// How many characters it has at least.
    pub min_length: Option<usize>,
    /// How many characters it has at most.
    pub max_length: Option<usize>,
    /// What to write instead, or the command that makes one up: told where it is absent or malformed.
    pub example: Option<String>,
}

/// How a variable is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Any text.
    #[default]
    Text,
    /// A URL with a scheme and a host.
    Url,
    /// What a target's variable may hold: `postgres://…`, or libpq's words.
    DatabaseUrl,
    /// Origins as browsers send them, with commas between: scheme, host and port, and nothing behind them.
    Origins,
    /// A host's name: lower-case labels with dots between.
    Domain,
    /// Hexadecimal digits.
    Hex,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Boolean,
}

impl Variable {
    /// Whether it is looked at for that target.
    #[must_use]
    pub fn applies(&self, target: &str) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|name| name == target)
    }

    /// What is wrong with a value, to stand behind the variable's name. The value is never repeated: it may be a
    /// secret, or a part of one.
    #[must_use]
    pub fn complaint_about(&self, value: &str) -> Option<String> {
        if self.none_of.iter().any(|example| example == value) {
            return Some("still has the value of an example".into());
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|allowed| allowed == value) {
            return Some(format!("is none of {}", self.one_of.join(", ")));
        }
        let length = value.chars().count();
        if let Some(least) = self.min_length.filter(|least| length < *least) {
            return Some(format!("is shorter than {least} characters"));
        }
        if let Some(most) = self.max_length.filter(|most| length > *most) {
            return Some(format!("is longer than {most} characters"));
        }
        self.form_complaint(value)
    }

    fn form_complaint(&self, value: &str) -> Option<String> {
        let unless = |holds: bool, complaint: &str| (!holds).then(|| complaint.to_owned());
        match self.form {
            Form::Text => None,
            Form::Url => self.url_complaint(value, |_| true, "is no URL with a scheme and a host"),
            Form::Origins => {
                let is_origin = |url: &Url, text: &str| url.origin().ascii_serialization() == text;
                let complaint = "is no list of origins (scheme, host and port alone, with commas between)";
                value
                    .split(',')
                    .map(str::trim)
                    .find_map(|text| self.url_complaint(text, |url| is_origin(url, text), complaint))
            }
            Form::DatabaseUrl => match Target::from_url(&self.name, value) {
                Ok(_) => None,
                Err(TargetError::Malformed { reason, .. }) => Some(format!("is no database URL: {reason}")),
                Err(TargetError::NotDone { what, .. }) => Some(format!("asks for what cannot be done: {what}")),
                Err(TargetError::UnknownParameter { .. }) => Some("holds a parameter that libpq does not know".into()),
                Err(_) => Some("is no database URL".into()),
            },
            Form::Domain => unless(is_domain(value), "is no domain (lower-case labels with dots between)"),
            Form::Hex => {
                unless(value.bytes().all(|byte| byte.is_ascii_hexdigit()), "is not made of hexadecimal digits alone")
            }
            Form::Number => match value.parse::<i64>() {
                Err(_) => Some("is no whole number".into()),
                Ok(number) if self.min.is_some_and(|least| number < least) => {
                    Some(format!("is below {}", self.min.unwrap_or_default()))
                }
                Ok(number) if self.max.is_some_and(|most| number > most) => {
                    Some(format!("is above {}", self.max.unwrap_or_default()))
                }
                Ok(_) => None,
            },
            Form::Boolean => unless(matches!(value, "true" | "false"), "is neither true nor false"),
        }
    }

    fn url_complaint(&self, text: &str, holds: impl Fn(&Url) -> bool, complaint: &str) -> Option<String> {
        let url = Url::parse(text).ok().filter(|url| url.has_host() && holds(url));
        let Some(url) = url else { return Some(complaint.to_owned()) };
        let allowed = self.schemes.is_empty() || self.schemes.iter().any(|scheme| scheme == url.scheme());
        // Its own scheme is not repeated: of a malformed value, anything may stand in front of the colon.
        (!allowed).then(|| {
            format!(
                "does not begin with {}",
                self.schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ")
            )
        })
    }

    /// What cannot be meant by the rule itself.
    fn rule_complaint(&self, targets: &[&str]) -> Option<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if self.name.is_empty()
            || !self.name.chars().all(is_name)
            || self.name.starts_with(|c: char| c.is_ascii_digit())
        {
            return Some("`name` must be made of letters, digits and `_`".into());
        }
        if let Some(unknown) = self.targets.iter().find(|name| !targets.contains(&name.as_str())) {
            return Some(format!("there is no target `{unknown}`; rehearsal.toml knows: {}", targets.join(", ")));
        }
        if (self.min.is_some() || self.max.is_some()) && self.form != Form::Number {
            return Some(
                "`min` and `max` go with form = \"number\"; of a text, min_length and max_length are meant".into(),
            );
        }
        if !self.schemes.is_empty() && !matches!(self.form, Form::Url | Form::Origins) {
            return Some("`schemes` goes with form = \"url\" or \"origins\"".into());
        }
        if self.min.zip(self.max).is_some_and(|(least, most)| least > most)
            || self.min_length.zip(self.max_length).is_some_and(|(least, most)| least > most)
        {
            return Some("no value is between its lower and its upper bound".into());
        }
        None
    }
}

/// As browsers show it. An address is no name.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.split('.').all(is_label) && matches!(Host::parse(text), Ok(Host::Domain(_))) && text.parse::<IpAddr>().is_err()
}

/// The first rule that cannot be meant, by its place in the list, and why.
pub(crate) fn complaint(variables: &[Variable], targets: &[&str]) -> Option<(usize, String)> {
    variables.iter().enumerate().find_map(|(index, variable)| {
        Some((index, format!("variable `{}`: {}", variable.name, variable.rule_complaint(targets)?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Variable {
        toml::from_str(&format!("name = 'X'\n{text}")).expect("a rule")
    }

    #[test]
    fn values_are_told_apart() {
        for (text, good, bad) in [
            ("form = 'url'", "https://a.example/x", "a.example"),
            ("form = 'url'\nschemes = ['https']", "https://a.example", "http://a.example"),
            ("form = 'database-url'", "postgres://u:p@h/d", "mysql://u:p@h/d"),
            ("form = 'database-url'", "host=h user=u dbname=d", "u:p@h"),
            ("form = 'origins'", "https://a.example, http://localhost:3000", "https://a.example/"),
            ("form = 'domain'", "a.example", "https://a.example"),
            ("form = 'domain'", "localhost", "10.0.0.1"),
            ("form = 'hex'\nmin_length = 4", "00fF", "00f"),
            ("form = 'hex'", "00ff", "00fg"),
            ("form = 'number'\nmin = 0\nmax = 65535", "8080", "65536"),
            ("form = 'number'\nmin = 0", "0", "-1"),
            ("form = 'boolean'", "true", "yes"),
            ("one_of = ['staging', 'production']", "staging", "live"),
            ("none_of = ['change-me']", "changed", "change-me"),
            ("max_length = 3", "äöü", "abcd"),
        ] {
            assert_eq!(rule(text).complaint_about(good), None, "{text}: {good}");
            let complaint = rule(text).complaint_about(bad);
            assert!(
                complaint.as_ref().is_some_and(|complaint| !complaint.contains(bad)),
                "{text}: {bad}: {complaint:?}"
            );
        }
    }

    #[test]
    fn rules_that_cannot_be_meant() {
        for (text, reason) in [
            ("targets = ['prod']", "there is no target `prod`"),
            ("min = 1", "`min` and `max` go with"),
            ("form = 'number'\nmin = 2\nmax = 1", "no value is between"),
            ("schemes = ['https']", "`schemes` goes with"),
        ] {
            let (_, complaint) = complaint(&[rule(text)], &["production"]).expect(text);
            assert!(complaint.contains(reason), "{complaint}");
        }
        let (_, complaint) = complaint(&[Variable { name: "A-B".into(), ..rule("") }], &[]).expect("no name");
        assert!(complaint.contains("`name` must be"), "{complaint}");
    }
}
