//! Who reads a backup says so, and `prune` leaves it alone. A lease is an object beside the backups; it is
//! renewed while its reader lives, so that a killed reader's ends by itself.

use std::time::Duration;

use bytes::Bytes;
use object_store::PutMode;
use object_store::path::Path;
use tokio::task::JoinHandle;

use super::failure::RepositoryError;
use super::place::Repository;
use crate::process::{self, State};

/// A lease that was not renewed for so long is of a reader that is gone.
const LASTS: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

/// Five renewals may fail before it ends.
const RENEWED_EVERY: Duration = Duration::from_secs(5 * 60);

/// A backup that is read. Given back when dropped.
pub struct Lease {
    /// Nothing once it is given back.
    repository: Option<Repository>,
    path: Path,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Takes one.
    ///
    /// # Errors
    /// The place's: it may be one that can only be read. Whoever reads may go on without.
    pub async fn take(repository: &Repository, id: &str) -> Result<Self, RepositoryError> {
        let letters: String = std::iter::repeat_with(fastrand::alphanumeric).take(12).collect();
        let path = repository.aside(&format!("leases/{id}/{}", letters.to_lowercase()))?;
        write(repository, &path).await?;
        let (repository, at) = (repository.clone(), path.clone());
        let renewing = {
            let repository = repository.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(RENEWED_EVERY).await;
                    // The next one may work.
                    let _ = write(&repository, &at).await;
                }
            })
        };
        Ok(Self { repository: Some(repository), path, renewing })
    }

    /// Gives it back, and waits for that.
    pub async fn end(mut self) {
        self.renewing.abort();
        if let Some(repository) = self.repository.take() {
            // It ends by itself otherwise.
            let _ = repository.remove(&self.path).await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
        let (Some(repository), path) = (self.repository.take(), self.path.clone()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { repository.remove(&path).await });
        }
    }
}

async fn write(repository: &Repository, path: &Path) -> Result<(), RepositoryError> {
    repository.put(path, Bytes::from(process::identity()), PutMode::Overwrite).await.map(drop)
}

impl Repository {
    /// Whether somebody reads that backup. Ages are told by the place's own clock alone: an object is
    /// written there to learn what time it is.
    pub(super) async fn is_read(&self, id: &str) -> Result<bool, RepositoryError> {
        let leases = self.list(&self.aside(&format!("leases/{id}"))?).await?;
        if leases.is_empty() {
            return Ok(false);
        }
        let now = self.now().await?;
        for lease in leases {
            let reader = self.text(&lease.location).await?.unwrap_or_default();
            let gone = match process::state(&String::from_utf8_lossy(&reader)) {
                State::Alive => return Ok(true),
                State::Gone => true,
                State::Foreign => now - lease.last_modified > LASTS,
            };
            if !gone {
                return Ok(true);
            }
            self.remove(&lease.location).await?;
        }
        Ok(false)
    }

    /// What time it is there.
    pub(super) async fn now(&self) -> Result<chrono::DateTime<chrono::Utc>, RepositoryError> {
        let letters: String = std::iter::repeat_with(fastrand::alphanumeric).take(12).collect();
        let path = self.aside(&format!("clock/{letters}"))?;
        write(self, &path).await?;
        let looked = self.look(&path).await;
        self.remove(&path).await?;
        looked?.map(|meta| meta.last_modified).ok_or_else(|| RepositoryError::Unreachable {
            doing: format!("look at {path}"),
            reason: "what was written just now is not there".into(),
        })
    }
}
