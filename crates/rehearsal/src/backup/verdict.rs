//! What is known of a backup: proven, wrong, or neither. There is no fourth, and only the first is a pass.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::postgres::version::Version;

/// How much is compared before a backup counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProofLevel {
    /// Restored; the schema object by object, rows and contents of every table, sequences, large objects.
    #[default]
    Full,
    /// Restored; the schema and sequences as well, of tables and large objects only how many there are.
    Counts,
    /// Nothing: it is not restored.
    None,
}

impl ProofLevel {
    /// As the command line and the configuration write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Counts => "counts",
            Self::None => "none",
        }
    }

    /// The least that a change of a database may rely on: `none` becomes `full`.
    #[must_use]
    pub const fn before_a_change(self) -> Self {
        match self {
            Self::None => Self::Full,
            other => other,
        }
    }
}

impl std::fmt::Display for ProofLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a proof ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ProofOutcome")]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was restored, and is what it was made from.
    Proven,
    /// It cannot be restored, or is not what it was made from.
    Wrong,
    /// Nobody knows: the proof was not asked for, or could not be carried through. Not a pass.
    NotProven,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proven => "proven",
            Self::Wrong => "wrong",
            Self::NotProven => "not proven",
        })
    }
}

/// What was done before it was called a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// How it ended.
    pub outcome: Outcome,
    /// What was asked for.
    pub level: ProofLevel,
    /// Why it is not proven, or what is wrong: one phrase each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The server that it was restored into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_into: Option<Version>,
    /// Which provider gave that server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What was compared, for people.
    pub compared: String,
}

impl Proof {
    /// One that took place: proven where nothing differs. `compared`: with what it was compared, for people.
    #[must_use]
    pub fn of(level: ProofLevel, differences: Vec<String>, compared: String) -> Self {
        let outcome = if differences.is_empty() { Outcome::Proven } else { Outcome::Wrong };
        Self { outcome, reasons: differences, compared, ..Self::missing(level, String::new()) }
    }

    /// One that did not take place, and why.
    #[must_use]
    pub fn missing(level: ProofLevel, reason: String) -> Self {
        Self {
            outcome: Outcome::NotProven,
            level,
            reasons: vec![reason],
            restored_into: None,
            provider: None,
            at: Utc::now(),
            compared: "nothing".into(),
        }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.outcome {
            Outcome::Proven => write!(f, "proven ({})", self.level),
            other => write!(f, "{other}: {}", self.reasons.join("; ")),
        }
    }
}
