//! Secret keys to read backups with. They are in a file that the environment names, never beside a backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::RepositoryError;

/// See the module.
#[derive(Clone)]
pub struct Identities {
    /// Where they are from.
    pub(super) file: PathBuf,
    keys: Arc<Vec<Box<dyn age::Identity + Send + Sync>>>,
}

impl Identities {
    /// Reads them.
    ///
    /// # Errors
    /// [`RepositoryError::BadIdentities`].
    pub fn read(file: &Path) -> Result<Self, RepositoryError> {
        let bad = |reason: String| RepositoryError::BadIdentities { file: file.into(), reason };
        let text = std::fs::File::open(file).map_err(|error| bad(error.to_string()))?;
        let keys = age::IdentityFile::from_buffer(std::io::BufReader::new(text))
            .map_err(|error| bad(error.to_string()))?
            .into_identities()
            .map_err(|error| bad(error.to_string()))?;
        if keys.is_empty() {
            return Err(bad("there is none in it".into()));
        }
        Ok(Self { file: file.into(), keys: Arc::new(keys) })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.keys.iter().map(|key| -> &dyn age::Identity { key.as_ref() })
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.keys.len(), self.file.display())
    }
}
