//! `[app]`: how this workspace's service is built and started.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::human_time::HumanTime;

/// See the module.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// The command that builds it, from the workspace's root.
    pub build: Option<Words>,
    /// The program that serves, and its arguments. A relative path is meant from the workspace's root.
    pub run: Option<Words>,
    /// Variables of its environment.
    pub env: BTreeMap<String, String>,
    /// Variables that get a fresh random value at every start; smoke tests may name them as secrets.
    pub secrets: Vec<String>,
    /// The variable that tells it its database's URL.
    pub database_env: String,
    /// The variable that tells it where to listen, as `127.0.0.1:PORT`.
    pub address_env: Option<String>,
    /// The variable that tells it the port alone.
    pub port_env: Option<String>,
    /// The path that answers with a success as soon as it serves.
    pub health: String,
    /// How long its start may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub start_limit: Duration,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            build: None,
            run: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            database_env: "DATABASE_URL".into(),
            address_env: None,
            port_env: None,
            health: "/health".into(),
            // Beside a build and a database on a small CI machine; a start of seconds is a slow one.
            start_limit: Duration::from_secs(30),
        }
    }
}

impl AppConfig {
    /// What cannot be meant.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.run.as_ref().is_some_and(|run| run.program().is_none()) {
            return Some("app.run must name a program".into());
        }
        if self.run.is_some() && self.address_env.is_none() && self.port_env.is_none() {
            return Some(
                "app.address_env or app.port_env must name the variable that tells the service its port".into(),
            );
        }
        (!self.health.starts_with('/')).then(|| "app.health must begin with `/`".into())
    }
}

/// A program and its arguments: one string that is split at blanks, or a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "Written")]
pub struct Words(Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Line(String),
    List(Vec<String>),
}

impl From<Written> for Words {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
            Written::List(words) => words,
        })
    }
}

impl Words {
    /// The program.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.0.first().map(String::as_str).filter(|program| !program.is_empty())
    }

    /// What it is told.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        self.0.get(1..).unwrap_or_default()
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}
