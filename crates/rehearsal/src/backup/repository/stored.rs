//! How a file is stored where it is not stored as it is.

use serde::{Deserialize, Serialize};

use crate::backup::manifest::FileEntry;

/// What an encrypted file's name ends with, as age's own program does it.
pub(super) const SUFFIX: &str = ".age";

/// An encrypted file. What its [`FileEntry`] says is of the plain one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its path in the backup.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// How: [`AGE`].
    pub cipher: String,
}

/// <https://age-encryption.org/v1>
pub const AGE: &str = "age-encryption.org/v1";

impl FileEntry {
    /// Path, size and digest of what is really there.
    #[must_use]
    pub fn at_rest(&self) -> (&str, u64, &str) {
        match &self.stored {
            None => (&self.path, self.bytes, &self.sha256),
            Some(stored) => (&stored.path, stored.bytes, &stored.sha256),
        }
    }
}
