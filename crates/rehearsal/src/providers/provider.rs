//! What a provider is asked for, and why it may have nothing to give.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::sandbox::Sandbox;
use crate::error::{Kind, Result};

/// Which provider the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The first that can serve: docker, local, embedded.
    #[default]
    Auto,
    /// A container.
    Docker,
    /// PostgreSQL's programs on this machine.
    Local,
    /// The same programs, downloaded once.
    Embedded,
}

impl Choice {
    /// The provider's name, unless it is any.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Docker => Some("docker"),
            Self::Local => Some("local"),
            Self::Embedded => Some("embedded"),
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "local" => Ok(Self::Local),
            "embedded" => Ok(Self::Embedded),
            _ => Err(format!("`{text}` is none of auto, docker, local, embedded")),
        }
    }
}

/// Which server is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The major version it must have.
    pub major: Option<u32>,
    /// The major version that is preferred when none is a must.
    pub preferred: Option<u32>,
    /// An image of the user's own.
    pub image: Option<String>,
    /// How long the start may take.
    pub start_limit: Duration,
    /// About how many bytes it is going to hold; decides whether memory is enough for it.
    pub expected_bytes: u64,
}

/// What a provider would serve with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which server, for people.
    pub with: String,
    /// What has to come over the network first, and how to have it before.
    pub missing: Option<String>,
}

/// The major version when nobody says one and no program on this machine decides.
pub const DEFAULT_MAJOR: u32 = 15;

/// Starts throwaway servers of one kind.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name that `--provider` takes.
    fn name(&self) -> &'static str;

    /// What it would start. Starts and fetches nothing.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when it has nothing to work with here.
    async fn offer(&self, request: &Request) -> Result<Offer, SandboxError>;

    /// Starts a server, and gives it once it answers.
    ///
    /// # Errors
    /// [`SandboxError`] with the server's own words, or [`crate::Error::Interrupted`].
    async fn start(&self, request: &Request, cancel: &CancellationToken) -> Result<Sandbox>;
}

/// No throwaway server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// This provider has nothing to work with here.
    #[error("{provider}: {reason}")]
    Unavailable {
        /// The provider.
        provider: &'static str,
        /// Why.
        reason: String,
        /// What would help.
        remedy: String,
    },
    /// It was started, and ended before it was ready.
    #[error("{provider}: the server did not start: {log}")]
    Start {
        /// The provider.
        provider: &'static str,
        /// The server's own log line.
        log: String,
    },
    /// It was started, and was not ready in time.
    #[error("{provider}: the server was not ready within {} s: {log}", limit.as_secs())]
    Slow {
        /// The provider.
        provider: &'static str,
        /// The limit.
        limit: Duration,
        /// The last line of the server's log.
        log: String,
    },
    /// None of the providers could.
    #[error("no throwaway PostgreSQL can be had here: {}", reasons.join("; "))]
    None {
        /// One each.
        reasons: Vec<String>,
    },
    /// A fixture failed.
    #[error("{}:{line}: {reason}", path.display())]
    Fixture {
        /// The file.
        path: PathBuf,
        /// The line of the statement.
        line: usize,
        /// The server's words.
        reason: String,
    },
}

impl SandboxError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unavailable { .. } | Self::None { .. } => Kind::Usage,
            Self::Start { .. } | Self::Slow { .. } | Self::Fixture { .. } => Kind::Failed,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unavailable { remedy, .. } => remedy.clone(),
            Self::None { .. } => {
                "start a Docker engine, or install PostgreSQL's server programs (Debian: apt-get install postgresql; macOS: brew install postgresql@17)".into()
            }
            Self::Start { .. } => "mend what the server complains about, or choose another --provider".into(),
            Self::Slow { .. } => "raise `sandbox.start_limit` in rehearsal.toml, or choose another --provider".into(),
            Self::Fixture { .. } => "mend the fixture: it must fit the schema right after the version in its name".into(),
        }
    }
}
