//! A folder for what a run throws away at its end.

use std::path::{Path, PathBuf};

use super::local::FOLDER_PREFIX;
use super::sweep;
use crate::error::{Error, Result};

/// Removed when dropped; what a killed run leaves is swept like its sandbox.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// Makes one below `base`.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(base: &Path) -> Result<Self> {
        // Whatever provider the killed runs had.
        sweep::folders(&[base]);
        let folder = tempfile::Builder::new()
            .prefix(FOLDER_PREFIX)
            .tempdir_in(base)
            .map_err(Error::io("create a folder in", base))?;
        sweep::claim(folder.path())?;
        Ok(Self { folder })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}
