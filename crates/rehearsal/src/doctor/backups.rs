//! Where backups live, when that is not a folder of this machine, and the keys to read them with.

use super::finding::{Area, Finding};
use crate::backup::repository::Repository;
use crate::backup::repository::identities::Identities;
use crate::config::Config;
use crate::context::Environment;
use crate::error::Error;

/// Looks whether the place answers, and whether encrypted backups could be read again.
pub async fn look(config: &Config, environment: &Environment, target: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.backup.to.is_remote() {
        let repository =
            Repository::open(&config.backup.to, target, &environment.object_stores, config.backup.patience);
        let reached = match &repository {
            Ok(repository) => repository.reach().await.map(|()| repository.place()),
            Err(error) => {
                findings.push(Finding::problem(Area::Backups, error.kind(), error.to_string(), error.hint()));
                return findings;
            }
        };
        findings.push(match reached {
            Ok(place) => Finding::ok(Area::Backups, format!("{place} answers")),
            Err(error) => Finding::of(Area::Backups, &Error::from(error)),
        });
    }
    if !config.backup.recipients.is_empty() {
        findings.push(match environment.age_identities.as_deref().map(Identities::read) {
            Some(Ok(_)) => Finding::ok(Area::Backups, "backups are encrypted; the keys to read them are here"),
            Some(Err(error)) => Finding::of(Area::Backups, &Error::from(error)),
            None => Finding::warning(
                Area::Backups,
                "backups are encrypted, and the keys to read them are not here: none can be restored from here",
                "where you restore, name the file with the keys in REHEARSAL_AGE_IDENTITY_FILE",
            ),
        });
    }
    findings
}
