//! Reads backups again. Each of them is as it should be, or wrong, or could not be checked: never two of it.

use async_trait::async_trait;
use chrono::Utc;

use super::step::{Step, StepReport};
use crate::backup::export::Export;
use crate::backup::repository::check::{self, Share};
use crate::backup::repository::entry::{Checked, Entry, State};
use crate::backup::repository::reproof::prove_again;
use crate::backup::repository::{Repository, RepositoryError};
use crate::backup::{BackupError, Outcome};
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::event::EventKind;
use crate::report::format::{bytes, plural};

/// Which backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest proven one.
    Newest,
    /// That one.
    One(String),
    /// All of them.
    All,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Only those files; all by default.
    pub share: Option<Share>,
    /// Restored into a sandbox and compared as well.
    pub restore: bool,
}

/// See the module.
pub struct CheckBackups {
    /// Whose.
    pub target: String,
    /// Which.
    pub which: Which,
    /// What of them.
    pub how: How,
}

#[async_trait]
impl Step for CheckBackups {
    fn name(&self) -> &'static str {
        "check"
    }

    fn title(&self) -> &'static str {
        "read the backups again, and compare with their manifests"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let repository = cx.repository(&self.target)?;
        let mut wrong = None;
        let mut unknown = None;
        let (mut good, mut looked_at, mut summary) = (0, 0, String::new());
        for entry in self.entries(&repository).await? {
            looked_at += 1;
            let checked = self.one(cx, &repository, &entry).await;
            let (is_good, found) = match &checked {
                Ok(what) => (true, what.clone()),
                Err(error) => (false, error.to_string()),
            };
            match checked {
                Ok(what) => {
                    good += 1;
                    summary = format!("{}: {what}", entry.id);
                    cx.events.emit(EventKind::Figure { name: entry.id.clone(), value: what });
                }
                Err(Error::Interrupted | Error::Repository(RepositoryError::Interrupted)) => {
                    return Err(Error::Interrupted);
                }
                Err(error) if error.kind() == Kind::Refused && is_about_the_backup(&error) => {
                    cx.events.warn(format!("{}: wrong: {error}", entry.id));
                    wrong = wrong.or(Some(error));
                }
                Err(error) => {
                    cx.events.warn(format!("{}: could not be checked: {error}", entry.id));
                    unknown = unknown.or(Some(error));
                    continue;
                }
            }
            let share = self.how.share.map(|share| share.to_string());
            let checked = Checked { at: Utc::now(), what: found, good: is_good, share, before: None };
            if let Err(error) = repository.note_checked(&entry.id, checked).await {
                cx.events.warn(format!("what was found cannot be noted: {error}"));
            }
        }
        match wrong.or(unknown) {
            Some(error) => Err(error),
            None if looked_at == 1 => Ok(StepReport::done(summary)),
            None => Ok(StepReport::done(format!("{good} of {} as they should be", plural(looked_at, "backup")))),
        }
    }
}

impl CheckBackups {
    async fn entries(&self, repository: &Repository) -> Result<Vec<Entry>> {
        let is_backup = |entry: &Entry| matches!(entry.state, State::Backup(_) | State::Damaged { .. });
        let can_be_read = |entry: &Entry| is_backup(entry) || matches!(entry.state, State::Exported);
        let mut entries = repository.entries().await?;
        let nothing =
            || BackupError::Nothing { target: repository.target().to_owned(), folder: repository.place().into() };
        match &self.which {
            Which::All => {
                entries.retain(can_be_read);
                if entries.is_empty() { Err(nothing().into()) } else { Ok(entries) }
            }
            Which::One(id) => {
                entries.retain(|entry| entry.id == *id && can_be_read(entry));
                let unknown = || RepositoryError::NoSuchBackup { id: id.clone(), place: repository.place() };
                if entries.is_empty() { Err(unknown().into()) } else { Ok(entries) }
            }
            Which::Newest => {
                // What cannot be read may be the newest one: that is not passed over in silence.
                let newest = entries.into_iter().rev().find(is_backup);
                Ok(vec![newest.ok_or_else(nothing)?])
            }
        }
    }

    /// What was looked at, when it is as it should be.
    async fn one(&self, cx: &mut Context, repository: &Repository, entry: &Entry) -> Result<String> {
        let manifest = match &entry.state {
            State::Backup(manifest) => manifest,
            State::Damaged { reason } => {
                let (place, damage) =
                    (repository.place_of(&entry.id), vec![format!("the manifest cannot be read: {reason}")]);
                return Err(RepositoryError::Damaged { place, damage }.into());
            }
            State::Exported => return exported(repository, &entry.id),
            State::Unfinished { .. } => {
                let (id, place) = (entry.id.clone(), repository.place());
                return Err(RepositoryError::NoSuchBackup { id, place }.into());
            }
        };
        if manifest.proof.outcome == Outcome::Wrong {
            let (folder, state) = (repository.place_of(&entry.id).into(), manifest.proof.to_string());
            return Err(BackupError::FoundWrong { folder, state }.into());
        }
        let identities = cx.identities()?;
        let How { share, restore } = self.how;
        let looked =
            check::check(repository, &entry.id, manifest, share, identities.as_ref(), &cx.events, &cx.cancel).await?;
        let mut what = format!("{} in {} read", bytes(looked.bytes), plural(looked.files as u64, "file"));
        if let Some(share) = share {
            what = match looked.files {
                0 => format!("nothing of it falls into share {share}, nothing was read"),
                _ => format!("{what} (share {share})"),
            };
        }
        if looked.sealed > 0 {
            what = format!("{what}, not decrypted: there is no identity");
        }
        if restore {
            prove_again(cx, repository, &entry.id, manifest).await?;
            what = format!("{what}; restored and equal");
        }
        Ok(what)
    }
}

/// Tables as files, which are exported into folders only.
fn exported(repository: &Repository, id: &str) -> Result<String> {
    let unknown = || RepositoryError::NoSuchBackup { id: id.to_owned(), place: repository.place() };
    let folder = repository.location().folder().ok_or_else(unknown)?.join(repository.target()).join(id);
    let export = Export::read(&folder)?;
    export.check(&folder)?;
    Ok(format!("{} in {} read, exported tables", bytes(export.bytes()), plural(export.tables.len() as u64, "file")))
}

/// A wrong key says nothing of the backup.
fn is_about_the_backup(error: &Error) -> bool {
    matches!(error, Error::Repository(RepositoryError::Damaged { .. }) | Error::Backup(_))
}
