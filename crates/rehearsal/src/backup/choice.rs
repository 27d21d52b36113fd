//! Which backup leads back to a version.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::manifest::Manifest;
use super::refusal::RestoreError;
use super::repository::Repository;
use super::whose::Whose;
use crate::error::Result;

/// The newest proven backup of that database that was made when `version` was its newest migration; 0 for none. One that leads
/// further back would undo more than is meant, one that does not lead as far undoes less.
///
/// # Errors
/// [`RestoreError::NoBackupOf`] with what there is instead; the place's.
pub async fn of_version(repository: &Repository, whose: &Whose, version: i64) -> Result<(String, Manifest)> {
    let mut newest = None;
    for entry in repository.entries().await?.iter().rev() {
        // One that cannot be read, or was not proven, is no way back.
        let Some(manifest) = entry.proven().filter(|manifest| whose.is_of(manifest)) else { continue };
        let of = manifest.migration.unwrap_or(0);
        if of == version {
            return Ok((entry.id.clone(), manifest.clone()));
        }
        newest.get_or_insert_with(|| format!("{} of version {of}", repository.place_of(&entry.id)));
    }
    Err(RestoreError::NoBackupOf { target: repository.target().to_owned(), version, newest }.into())
}

/// For people: how long ago it was made, to the minute, by this machine's clock.
#[must_use]
pub fn age(manifest: &Manifest) -> String {
    age_since(manifest.made_at)
}

/// The same of anything.
#[must_use]
pub fn age_since(time: DateTime<Utc>) -> String {
    const MINUTE: u64 = 60;
    let seconds = (Utc::now() - time).to_std().unwrap_or_default().as_secs();
    if seconds < MINUTE {
        return "less than a minute".into();
    }
    humantime::format_duration(Duration::from_secs(seconds / MINUTE * MINUTE)).to_string()
}
