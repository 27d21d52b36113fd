//! Removes backups that no rule keeps. The manifest goes first: what is half removed is no backup.

use object_store::PutMode;

use super::entry::{Entry, State};
use super::failure::RepositoryError;
use super::place::Repository;
use crate::backup::manifest::FILE_NAME;

/// What has no manifest and was not touched for so long is nobody's: no upload pauses for a day.
const ABANDONED_AFTER: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// What became of one that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// Somebody reads it.
    Read,
}

impl Repository {
    /// Removes a backup, unless somebody reads it.
    ///
    /// # Errors
    /// The place's. It is no backup any more then, and the next prune goes on.
    pub async fn prune(&self, id: &str) -> Result<Removed, RepositoryError> {
        if self.is_read(id).await? {
            return Ok(Removed::Read);
        }
        let path = self.path(&format!("{id}/{FILE_NAME}"))?;
        let manifest = self.text(&path).await?;
        self.remove(&path).await?;
        // Whoever takes a lease looks for the manifest after that: either it is not found there, or the
        // lease is found here.
        if let Some(manifest) = manifest
            && self.is_read(id).await?
        {
            self.put(&path, manifest, PutMode::Create).await?;
            return Ok(Removed::Read);
        }
        self.clear(id).await?;
        Ok(Removed::Gone)
    }

    /// What is without a manifest, and was not touched for a day by the place's own clock.
    ///
    /// # Errors
    /// The place's.
    pub async fn abandoned(&self, entries: &[Entry]) -> Result<Vec<String>, RepositoryError> {
        let unfinished: Vec<_> = entries
            .iter()
            .filter_map(|entry| match &entry.state {
                // Folders of dumps under way have an owner, and are swept by the next backup.
                State::Unfinished { touched } if !entry.id.contains(".partial") => Some((&entry.id, *touched)),
                _ => None,
            })
            .collect();
        if unfinished.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.now().await?;
        let old = |touched: Option<chrono::DateTime<chrono::Utc>>| touched.is_some_and(|at| now - at > ABANDONED_AFTER);
        Ok(unfinished.into_iter().filter(|(_, touched)| old(*touched)).map(|(id, _)| id.clone()).collect())
    }

    /// Removes everything of something that is no backup.
    ///
    /// # Errors
    /// The place's.
    pub async fn clear(&self, id: &str) -> Result<(), RepositoryError> {
        for meta in self.list(&self.path(id)?).await? {
            self.remove(&meta.location).await?;
        }
        self.remove(&self.aside(&format!("checks/{id}.json"))?).await?;
        // A folder remains where there are folders.
        if let Some(folder) = self.location().folder() {
            let folder = folder.join(self.target()).join(id);
            if folder.is_dir() {
                std::fs::remove_dir_all(&folder).map_err(RepositoryError::io("remove", &folder))?;
            }
        }
        Ok(())
    }
}
