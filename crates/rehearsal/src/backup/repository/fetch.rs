//! Brings a backup into a folder of this machine: every byte against its digest, decrypted, manifest last.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::failure::RepositoryError;
use super::identities::Identities;
use super::leases::Lease;
use super::place::Repository;
use super::private;
use super::receive::{self, Wanted};
use crate::backup::manifest::Manifest;
use crate::error::{Error, Result};
use crate::event::{Emitter, EventKind, Progress};

/// Fetches it into a folder that is made. Nobody prunes the backup meanwhile.
///
/// # Errors
/// [`RepositoryError`]; what has arrived so far stays in the folder, without a manifest.
pub async fn fetch(
    repository: &Repository,
    id: &str,
    into: &Path,
    identities: Option<&Identities>,
    events: &Emitter,
    cancel: &CancellationToken,
) -> Result<Manifest> {
    let lease = Lease::take(repository, id).await;
    if let Err(error) = &lease {
        events.warn(format!("nothing keeps `db-backup prune` from removing {id} while it is read: {error}"));
    }
    let fetching = Fetching { repository, id, into, identities, events, cancel };
    let fetched = fetching.run().await;
    if let Ok(lease) = lease {
        lease.end().await;
    }
    fetched
}

struct Fetching<'a> {
    repository: &'a Repository,
    id: &'a str,
    into: &'a Path,
    identities: Option<&'a Identities>,
    events: &'a Emitter,
    cancel: &'a CancellationToken,
}

impl Fetching<'_> {
    async fn run(&self) -> Result<Manifest> {
        let Self { repository, id, into, identities, events, cancel } = *self;
        let place = repository.place();
        let mut manifest =
            repository.manifest(id).await?.ok_or_else(|| RepositoryError::NoSuchBackup { id: id.into(), place })?;
        if identities.is_none() && manifest.files.iter().any(|file| file.stored.is_some()) {
            return Err(RepositoryError::NoIdentity { place: repository.place_of(id) }.into());
        }
        let (total, mut done) = (manifest.bytes(), 0);
        let mut damage = Vec::new();
        for file in &manifest.files {
            let path = inside(into, &file.path).ok_or_else(|| RepositoryError::Damaged {
                place: repository.place_of(id),
                damage: vec![format!("{} leads out of it", file.path)],
            })?;
            let folder = path.parent().unwrap_or(into);
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            let wanted = Wanted { id, file, identities, into: Some(path), cancel };
            let before = done;
            let read = receive::file(repository, wanted, |bytes| {
                done += bytes;
                events.emit(EventKind::Progress(Progress {
                    unit: "bytes".into(),
                    done: done.min(total),
                    total: Some(total),
                    what: "fetch".into(),
                    per_second: None,
                    left_ms: None,
                }));
            });
            damage.extend(read.await?);
            done = before + file.bytes;
        }
        if !damage.is_empty() {
            return Err(RepositoryError::Damaged { place: repository.place_of(id), damage }.into());
        }
        if let Some(identities) = identities {
            private::show(&mut manifest, identities, &repository.place_of(id))?;
        }
        manifest.write(into)?;
        Ok(manifest)
    }
}

/// A manifest that somebody else wrote must not name a file elsewhere.
fn inside(folder: &Path, relative: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(relative);
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && !relative.is_empty()).then(|| folder.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_elsewhere() {
        let folder = Path::new("/tmp/x");
        assert_eq!(inside(folder, "dump/toc.dat"), Some("/tmp/x/dump/toc.dat".into()));
        for path in ["", "/etc/passwd", "../y", "dump/../../y"] {
            assert_eq!(inside(folder, path), None, "{path}");
        }
    }
}
