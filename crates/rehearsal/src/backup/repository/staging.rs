//! Backups that are made here and belong elsewhere: made and proven in a folder of this machine, then sent.

use std::path::{Path, PathBuf};

use super::failure::RepositoryError;
use crate::backup::manifest::FILE_NAME;
use crate::process::{self, State};

/// A backup that waits to be sent.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Its folder.
    pub folder: PathBuf,
    /// Its id.
    pub id: String,
}

/// The backups of a target that wait, oldest first. What an upload has left half removed goes.
///
/// # Errors
/// The file system's.
pub fn pending(staging: &Path, target: &str) -> Result<Vec<Staged>, RepositoryError> {
    let folder = staging.join(target);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RepositoryError::io("read", &folder)(error)),
    };
    let mut waiting = Vec::new();
    for entry in entries {
        let path = entry.map_err(RepositoryError::io("read", &folder))?.path();
        let Some(staged) = Staged::of(path) else { continue };
        if staged.folder.join(FILE_NAME).is_file() {
            waiting.push(staged);
        } else if let Some(claim) = staged.claim()? {
            staged.remove(claim)?;
        }
    }
    waiting.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(waiting)
}

impl Staged {
    /// The backup in that folder; nothing for what is no finished one's name.
    #[must_use]
    pub fn of(folder: PathBuf) -> Option<Self> {
        let id = folder.file_name()?.to_str()?.to_owned();
        let is_one = folder.is_dir() && !id.ends_with(".partial");
        is_one.then_some(Self { folder, id })
    }

    /// Where what is done of its upload is noted.
    pub(super) fn notes(&self) -> PathBuf {
        self.beside(".sent")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.folder.as_os_str().to_owned();
        path.push(ending);
        path.into()
    }

    /// Takes it for this process; nothing when another one is at it.
    pub(super) fn claim(&self) -> Result<Option<Claim>, RepositoryError> {
        let path = self.beside(".sender");
        // Written beside and linked: whoever reads it reads all of it.
        let own = tempfile::NamedTempFile::new_in(self.folder.parent().unwrap_or(Path::new(".")))
            .map_err(RepositoryError::io("write", &path))?;
        std::fs::write(own.path(), process::identity()).map_err(RepositoryError::io("write", &path))?;
        for _ in 0..2 {
            match std::fs::hard_link(own.path(), &path) {
                Ok(()) => return Ok(Some(Claim(path))),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RepositoryError::io("write", &path)(error)),
            }
            let owner = std::fs::read_to_string(&path).unwrap_or_default();
            if process::state(&owner) != State::Gone {
                return Ok(None);
            }
            // A killed run's.
            let _ = std::fs::remove_file(&path);
        }
        Ok(None)
    }

    /// Removes it, its manifest first: what is left of it, whatever happens, is no backup.
    pub(super) fn remove(&self, claim: Claim) -> Result<(), RepositoryError> {
        match std::fs::remove_file(self.folder.join(FILE_NAME)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(RepositoryError::io("remove", &self.folder)(error));
            }
            _ => {}
        }
        std::fs::remove_dir_all(&self.folder).map_err(RepositoryError::io("remove", &self.folder))?;
        let _ = std::fs::remove_file(self.notes());
        drop(claim);
        Ok(())
    }
}

/// A staged backup is this process's as long as this lives.
pub(super) struct Claim(PathBuf);

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
