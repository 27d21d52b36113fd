//! How smoke tests fail.

use std::path::PathBuf;

use crate::error::Kind;

/// Smoke tests could not be run, or did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmokeError {
    /// There is nothing to run.
    #[error("rehearsal.toml has no [[smoke]] tables: there is nothing to ask the service")]
    NoTests,
    /// It is not known how to start the service.
    #[error("rehearsal.toml does not say how to start the service: [app] has no `run`")]
    NoProgram,
    /// A secret is not to be had.
    #[error("smoke test `{test}` needs the environment variable {variable}, which is not set")]
    NoSecret {
        /// The test's name.
        test: String,
        /// The variable.
        variable: String,
    },
    /// The service did not come up.
    #[error("{program} does not serve: {reason}")]
    NotServing {
        /// The program.
        program: String,
        /// What happened, with the last lines of its log.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// Some requests were not answered as they must be.
    #[error("{} of {total} smoke tests failed: {}", failed.len(), failed.join(", "))]
    Failed {
        /// The names of those that failed.
        failed: Vec<String>,
        /// How many were run.
        total: usize,
        /// The log of the service, if it was started for this.
        log: Option<PathBuf>,
        /// The service was of a later release than the one that is rehearsed.
        is_of_later: bool,
    },
    /// The address of a service is none.
    #[error("`{url}` is no address of a service: {reason}")]
    Url {
        /// As it was given, without a password.
        url: String,
        /// Why.
        reason: String,
    },
    /// No requests can be made at all.
    #[error("no HTTP client can be made: {reason}")]
    Client {
        /// The library's words.
        reason: String,
    },
}

impl SmokeError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoTests | Self::NoProgram | Self::NoSecret { .. } | Self::Url { .. } => Kind::Usage,
            Self::NotServing { .. } | Self::Client { .. } => Kind::Failed,
            Self::Failed { .. } => Kind::Refused,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoTests => "add [[smoke]] tables with name and path, or leave --smoke out".into(),
            Self::NoProgram => "add `run` and `address_env` (or `port_env`) to [app]".into(),
            Self::NoSecret { variable, .. } => format!("set {variable}, in the environment or in .env"),
            Self::NotServing { log, .. } => format!("all that it wrote is in {}", log.display()),
            Self::Failed { is_of_later: true, .. } => {
                "this workspace's code is of a later release than the one that is rehearsed: name a build of that \
                 release by --app (an executable or a git revision)"
                    .into()
            }
            Self::Failed { log: Some(log), .. } => {
                format!("each is told above with what was found; what the service wrote is in {}", log.display())
            }
            Self::Failed { log: None, .. } => "each is told above with what was found".into(),
            Self::Url { .. } => "write it as http://host:port or https://host".into(),
            Self::Client { .. } => "check the certificates of this machine".into(),
        }
    }
}
