//! Sends a staged backup to its place. It is there for others once its manifest is, which comes last.

use std::collections::BTreeMap;
use std::time::Duration;

use object_store::PutMode;
use tokio_util::sync::CancellationToken;

use super::failure::RepositoryError;
use super::place::Repository;
use super::private;
use super::recipients::Recipients;
use super::send;
use super::sent::{Notes, SentFile};
use super::staging::Staged;
use crate::backup::manifest::{FILE_NAME, FileEntry, Manifest};
use crate::error::{Error, Result};
use crate::event::{Emitter, EventKind, Progress};

/// A part that has arrived just when its connection was cut may be stored a moment later, and then outlives the end of its
/// upload ("Aborting a multipart upload" in the guide of S3 tells of it).
const SETTLES_WITHIN: Duration = Duration::from_millis(300);

/// What was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// Files that were sent now.
    pub files: usize,
    /// Files that were there already.
    pub there: usize,
    /// Size of all of them, as they are stored.
    pub bytes: u64,
}

/// What becomes of the staged files once they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// They go.
    Remove,
    /// Somebody reads them, and says when they may go ([`remove_sent`]). Until then they wait to be sent, which finds
    /// that all of it is there.
    Keep,
}

/// Removes staged files that were sent and kept.
///
/// # Errors
/// The file system's.
pub fn remove_sent(staged: &Staged) -> Result<()> {
    if let Some(claim) = staged.claim()? {
        staged.remove(claim)?;
    }
    Ok(())
}

/// Sends it. Nothing when another process is at it.
///
/// # Errors
/// [`RepositoryError::NotSent`] with the reason: it stays staged, and the next upload goes on.
pub async fn upload(
    repository: &Repository,
    staged: &Staged,
    then: Then,
    recipients: &Recipients,
    events: &Emitter,
    cancel: &CancellationToken,
) -> Result<Option<Sent>> {
    let Some(claim) = staged.claim()? else { return Ok(None) };
    let work = Upload { repository, staged, recipients, events };
    let sent = cancel.run_until_cancelled(work.run()).await.unwrap_or(Err(RepositoryError::Interrupted.into()));
    if sent.is_err() {
        work.clean_up().await;
    }
    match sent {
        Ok(sent) => {
            match then {
                Then::Remove => staged.remove(claim)?,
                Then::Keep => drop(claim),
            }
            Ok(Some(sent))
        }
        Err(Error::Repository(RepositoryError::Interrupted)) => {
            events.warn(format!(
                "the backup waits in {}; `cargo xtask db-backup upload` sends it",
                staged.folder.display()
            ));
            Err(Error::Interrupted)
        }
        Err(Error::Repository(source)) => {
            Err(RepositoryError::NotSent { staged: staged.folder.clone(), source: Box::new(source) }.into())
        }
        Err(other) => Err(other),
    }
}

struct Upload<'a> {
    repository: &'a Repository,
    staged: &'a Staged,
    recipients: &'a Recipients,
    events: &'a Emitter,
}

impl Upload<'_> {
    async fn run(&self) -> Result<Sent> {
        let Self { repository, staged, recipients, .. } = self;
        let mut manifest = Manifest::read(&staged.folder)?;
        let place = repository.place_of(&staged.id);
        let notes = Notes::open(&staged.notes(), &place, recipients.words())?;
        self.abort_open(&notes).await?;
        let total = manifest.bytes();
        let (mut sent, mut done) = (Sent::default(), 0);
        let mut files = Vec::with_capacity(manifest.files.len());
        for entry in &manifest.files {
            let entry = match self.is_there(&notes, entry).await? {
                Some(entry) => {
                    sent.there += 1;
                    entry
                }
                None => {
                    sent.files += 1;
                    self.send(&notes, entry).await?
                }
            };
            done += entry.bytes;
            self.tell(done, total);
            sent.bytes += entry.at_rest().1;
            files.push(entry);
        }
        manifest.files = files;
        self.must_be_complete(&manifest).await?;
        private::hide(&mut manifest, recipients).map_err(Error::io("encrypt", FILE_NAME))?;
        let text = manifest.text().map_err(Error::io("write", FILE_NAME))?.into();
        let path = repository.path(&format!("{}/{FILE_NAME}", staged.id))?;
        if !repository.put(&path, text, PutMode::Create).await? {
            // Of an earlier try, whose answer was lost? Another backup of that name is never replaced.
            let there = repository.manifest(&staged.id).await?;
            let same = there.is_some_and(|there| there.run_id == manifest.run_id && there.files == manifest.files);
            if !same {
                return Err(RepositoryError::Taken { place }.into());
            }
        }
        Ok(sent)
    }

    /// Aborts the uploads in parts that have begun and were not completed: parts cost money until then.
    async fn abort_open(&self, notes: &Notes) -> Result<(), RepositoryError> {
        for (path, upload) in &notes.open {
            let Ok(whole) = object_store::path::Path::parse(path) else { continue };
            if send::abort(self.repository, &whole, upload).await {
                notes.ended(path, upload)?;
            }
        }
        Ok(())
    }

    /// What a failed or interrupted run does at its end. What it cannot do, the next run does.
    async fn clean_up(&self) {
        let place = self.repository.place_of(&self.staged.id);
        let notes = Notes::open(&self.staged.notes(), &place, self.recipients.words());
        if let Some(notes) = notes.ok().filter(|notes| !notes.open.is_empty()) {
            tokio::time::sleep(SETTLES_WITHIN).await;
            let _ = self.abort_open(&notes).await;
        }
    }

    /// A file that an earlier run has sent, if it is still what was sent.
    async fn is_there(&self, notes: &Notes, entry: &FileEntry) -> Result<Option<FileEntry>, RepositoryError> {
        let Some(noted) = notes.sent.get(&entry.path).filter(|noted| noted.entry.sha256 == entry.sha256) else {
            return Ok(None);
        };
        let (name, bytes, _) = noted.entry.at_rest();
        let path = self.repository.path(&format!("{}/{name}", self.staged.id))?;
        let there = self.repository.look(&path).await?;
        let same =
            there.is_some_and(|there| there.size == bytes && (noted.e_tag.is_none() || there.e_tag == noted.e_tag));
        Ok(same.then(|| noted.entry.clone()))
    }

    async fn send(&self, notes: &Notes, entry: &FileEntry) -> Result<FileEntry, RepositoryError> {
        let local = self.staged.folder.join(&entry.path);
        let done = send::file(self.repository, &self.staged.id, &local, entry, self.recipients, notes).await?;
        notes.sent(SentFile { entry: done.entry.clone(), e_tag: done.e_tag })?;
        Ok(done.entry)
    }

    /// What is listed is what the manifest is going to say, no more and no less. A run with other
    /// recipients may have left files.
    async fn must_be_complete(&self, manifest: &Manifest) -> Result<(), RepositoryError> {
        let path = self.repository.path(&self.staged.id)?;
        let listed = self.repository.list(&path).await?;
        let mut there: BTreeMap<String, u64> =
            listed.into_iter().map(|meta| (meta.location.to_string(), meta.size)).collect();
        for entry in &manifest.files {
            let (name, bytes, _) = entry.at_rest();
            let found = there.remove(self.repository.path(&format!("{}/{name}", self.staged.id))?.as_ref());
            if found != Some(bytes) {
                return Err(RepositoryError::Unreachable {
                    doing: format!("send {name}"),
                    reason: match found {
                        Some(found) => format!("{found} bytes of {bytes} have arrived"),
                        None => "it was sent, and is not there".into(),
                    },
                });
            }
        }
        there.remove(self.repository.path(&format!("{}/{FILE_NAME}", self.staged.id))?.as_ref());
        for (left, _) in there {
            let path = object_store::path::Path::parse(&left)
                .map_err(|error| self.repository.failed("remove")(error.into()))?;
            self.repository.remove(&path).await?;
        }
        Ok(())
    }

    fn tell(&self, done: u64, total: u64) {
        self.events.emit(EventKind::Progress(Progress {
            unit: "bytes".into(),
            done,
            total: Some(total),
            what: "upload".into(),
            per_second: None,
            left_ms: None,
        }));
    }
}
