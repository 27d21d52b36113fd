//! A folder that is not there for others before all of it is.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::files::PRIVATE_FOLDER;
use crate::error::{Error, Result};
use crate::process::{self, State};

/// Ends the name of a folder that is not finished yet.
const SUFFIX: &str = ".partial";

/// Puts a folder's entries on the disk; its files are there already.
///
/// # Errors
/// The file system's.
pub(crate) fn sync(folder: &Path) -> Result<()> {
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("write", folder))
}

/// What runs that were killed left behind. The folder may be shared: what belongs to a process of
/// another machine is left alone.
///
/// # Errors
/// The file system's.
pub(crate) fn sweep(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let partial = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
        if partial && is_abandoned(&owner_file(&path)) {
            let _ = std::fs::remove_dir_all(&path);
            let _ = std::fs::remove_file(owner_file(&path));
        }
    }
    Ok(())
}

fn is_abandoned(owner: &Path) -> bool {
    match std::fs::read_to_string(owner) {
        Ok(owner) => process::state(&owner) == State::Gone,
        // Whoever makes such a folder writes its owner first, and removes it last.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Beside the folder and not in it: what is in it belongs to the backup.
fn owner_file(partial: &Path) -> PathBuf {
    let mut path = partial.as_os_str().to_owned();
    path.push(".owner");
    path.into()
}

/// Makes a folder that is its owner's alone.
///
/// # Errors
/// The file system's.
pub(crate) fn private_folder(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new().mode(PRIVATE_FOLDER).create(path).map_err(Error::io("create", path))
}

/// A folder that becomes a backup, or nothing.
pub(crate) struct Partial {
    /// Where it is written.
    pub(crate) path: PathBuf,
    becomes: PathBuf,
    finished: bool,
}

impl Partial {
    /// Takes the first name that is free: two backups may be made within one second, also by two
    /// processes. Whoever makes the owner's file has the name.
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self> {
        let mut number = 1;
        loop {
            let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
            let path = folder.join(format!("{name}{SUFFIX}"));
            let owner = owner_file(&path);
            match std::fs::File::create_new(&owner) {
                Ok(_) => {
                    // From here on a drop cleans up.
                    let partial = Self { path, becomes: folder.join(name), finished: false };
                    if !partial.becomes.exists() {
                        std::fs::write(&owner, process::identity()).map_err(Error::io("write", &owner))?;
                        private_folder(&partial.path)?;
                        return Ok(partial);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("write", &owner)(error)),
            }
            number += 1;
        }
    }

    /// The name that it is going to have.
    pub(crate) fn name(&self) -> String {
        self.becomes.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Gives it its name.
    pub(crate) fn finish(mut self) -> Result<PathBuf> {
        std::fs::rename(&self.path, &self.becomes).map_err(Error::io("create", &self.becomes))?;
        self.finished = true;
        Ok(self.becomes.clone())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_dir_all(&self.path);
        }
        let _ = std::fs::remove_file(owner_file(&self.path));
    }
}
