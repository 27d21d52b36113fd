//! `[[smoke]]`: one request and what it must be answered with.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::expectation::Expected;
use super::template;

/// The name of a value that is different in every run.
pub const RUN: &str = "run";

/// See the module.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmokeTest {
    /// Its name, once in the workspace.
    pub name: String,
    /// Requests of one flow share cookies and saved values; they run in the order of the file.
    #[serde(default)]
    pub flow: String,
    /// `GET`, `POST` …
    #[serde(default = "get")]
    pub method: String,
    /// From the service's root, with its query.
    pub path: String,
    /// Headers by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Sent as JSON.
    pub body: Option<Value>,
    /// The status that must come.
    #[serde(default = "ok")]
    pub status: u16,
    /// Where a redirect must lead to.
    pub location: Option<String>,
    /// What the body must contain, as text.
    pub contains: Option<String>,
    /// What the body's JSON must hold, by pointer (RFC 6901).
    #[serde(default)]
    pub expect: BTreeMap<String, Expected>,
    /// Values of the body's JSON that later requests of the flow use, by name, from their pointers.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Secrets that it uses, by name, from environment variables.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// It is for services that know this version of the schema.
    pub since: Option<i64>,
    /// It is for services that do not know this version yet.
    pub until: Option<i64>,
    /// It is for this release only.
    pub release: Option<String>,
}

fn get() -> String {
    "GET".into()
}

const fn ok() -> u16 {
    200
}

impl SmokeTest {
    /// Whether it is for a service of that release, made for that version of the schema.
    #[must_use]
    pub fn applies(&self, version: i64, release: Option<&str>) -> bool {
        self.since.is_none_or(|since| since <= version)
            && self.until.is_none_or(|until| version < until)
            && self.release.as_deref().is_none_or(|wanted| release == Some(wanted))
    }

    /// The names of values that it needs before it can be sent or judged.
    fn needs(&self) -> Vec<&str> {
        let mut names = template::names(&self.path);
        names.extend(self.headers.values().flat_map(|value| template::names(value)));
        names.extend(self.body.iter().flat_map(template::names_in));
        names.extend(self.location.iter().chain(&self.contains).flat_map(|text| template::names(text)));
        names.extend(self.expect.values().flat_map(Expected::names));
        names
    }

    fn complaint(&self, saved: &BTreeSet<(&str, &str)>) -> Option<String> {
        if self.name.trim().is_empty() {
            return Some("a smoke test needs a name".into());
        }
        if !self.path.starts_with('/') {
            return Some("`path` must begin with `/`".into());
        }
        if reqwest::Method::from_bytes(self.method.as_bytes()).is_err() || self.method != self.method.to_uppercase() {
            return Some(format!("`{}` is no method: GET, POST, PUT, PATCH, DELETE …", self.method));
        }
        if !(100..600).contains(&self.status) {
            return Some(format!("{} is no status", self.status));
        }
        let mut pointers = self.expect.keys().chain(self.save.values());
        if let Some(wrong) = pointers.find(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            return Some(format!("`{wrong}` is no JSON pointer: it must begin with `/`, or be empty for all of it"));
        }
        if let Some(wrong) = self.save.keys().chain(self.secrets.keys()).find(|name| !template::is_name(name)) {
            return Some(format!("`{wrong}` is no name: a lower-case letter, then letters, digits and underscores"));
        }
        if self.since.zip(self.until).is_some_and(|(since, until)| since >= until) {
            return Some("`since` must be less than `until`".into());
        }
        let unknown = self.needs().into_iter().find(|name| {
            *name != RUN && !self.secrets.contains_key(*name) && !saved.contains(&(self.flow.as_str(), name))
        })?;
        Some(format!(
            "nothing gives `{{{unknown}}}` a value: no `secrets` here, no `save` of an earlier request of its flow"
        ))
    }
}

/// The first smoke test that cannot be meant, by its place in the list, and why.
pub(crate) fn complaint(tests: &[SmokeTest]) -> Option<(usize, String)> {
    let (mut saved, mut names) = (BTreeSet::new(), BTreeSet::new());
    tests.iter().enumerate().find_map(|(index, test)| {
        let reason = test
            .complaint(&saved)
            .or_else(|| (!names.insert(&test.name)).then(|| "there is another one of that name".into()));
        saved.extend(test.save.keys().map(|name| (test.flow.as_str(), name.as_str())));
        Some((index, format!("smoke test `{}`: {}", test.name, reason?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        smoke: Vec<SmokeTest>,
    }

    fn of(text: &str) -> Vec<SmokeTest> {
        toml::from_str::<File>(text).expect("it is well-formed").smoke
    }

    #[test]
    fn a_value_must_come_from_somewhere() {
        let text = "[[smoke]]\nname = 'a'\npath = '/{run}'\nsave = { id = '/id' }\n\
                    [[smoke]]\nname = 'b'\npath = '/x'\nbody = { id = '{id}', key = '{key}' }\nsecrets = { key = 'KEY' }\n";
        assert_eq!(complaint(&of(text)), None);
        let other_flow = text.replace("name = 'b'", "name = 'b'\nflow = 'other'");
        let (index, reason) = complaint(&of(&other_flow)).expect("refused");
        assert_eq!(index, 1);
        assert!(reason.contains("nothing gives `{id}` a value"), "{reason}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (line, words) in [
            ("name = ' '\npath = '/'", "needs a name"),
            ("name = 'a'\npath = 'health'", "`path` must begin with `/`"),
            ("name = 'a'\npath = '/'\nmethod = 'get'", "is no method"),
            ("name = 'a'\npath = '/'\nstatus = 99", "99 is no status"),
            ("name = 'a'\npath = '/'\nexpect = { status = 'x' }", "`status` is no JSON pointer"),
            ("name = 'a'\npath = '/'\nsave = { A = '/a' }", "`A` is no name"),
            ("name = 'a'\npath = '/'\nsince = 3\nuntil = 3", "`since` must be less"),
            ("name = 'a'\npath = '/'\n[[smoke]]\nname = 'a'\npath = '/'", "another one of that name"),
        ] {
            let (_, reason) = complaint(&of(&format!("[[smoke]]\n{line}\n"))).unwrap_or_else(|| panic!("{line}"));
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn since_until_and_release_choose() {
        let tests = of("[[smoke]]\nname = 'a'\npath = '/'\nsince = 3\nuntil = 5\nrelease = 'R'\n");
        let applies = |version, release| tests[0].applies(version, release);
        assert!(applies(3, Some("R")) && applies(4, Some("R")));
        assert!(!applies(2, Some("R")) && !applies(5, Some("R")) && !applies(3, Some("S")) && !applies(3, None));
    }
}
