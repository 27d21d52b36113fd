//! What a backup says of itself. Written last: a folder without it is not a backup.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::failure::BackupError;
use crate::error::{Error, Result};
use crate::postgres::catalog::Surroundings;
use crate::postgres::contents::TableName;
use crate::postgres::sequences::{self, Position, Sequences};
use crate::postgres::version::Version;

/// The manifest's name in the backup's folder.
pub const FILE_NAME: &str = "manifest.json";

/// The folder that pg_dump wrote, in the backup's folder.
pub const DUMP_FOLDER: &str = "dump";

/// Version of the format; it goes up when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The run that made it.
    pub run_id: String,
    /// When the dump began.
    pub made_at: DateTime<Utc>,
    /// The target's name.
    pub target: String,
    /// Where it is, without a password.
    pub address: String,
    /// The database's name.
    pub database: String,
    /// The server it was made from.
    pub server: Version,
    /// The client that made it.
    pub client: Version,
    /// The database's encoding.
    pub encoding: String,
    /// The commit of the workspace.
    pub commit: Option<String>,
    /// The newest applied migration.
    pub migration: Option<i64>,
    /// What the dump leaves out.
    #[serde(flatten)]
    pub surroundings: Surroundings,
    /// Extensions with their versions.
    pub extensions: Vec<String>,
    /// Every file, by its path in the backup's folder.
    pub files: Vec<FileEntry>,
    /// Every table.
    pub tables: Vec<TableEntry>,
    /// Every sequence. Backups of earlier versions say nothing of them.
    #[serde(default)]
    pub sequences: Vec<SequenceEntry>,
    /// How it was proven.
    pub proof: Proof,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path in the backup's folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// One table, as the dump holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Schema and name.
    #[serde(flatten)]
    pub name: TableName,
    /// Its rows.
    pub rows: u64,
    /// The sum of its rows' XXH3-128 hashes modulo 2^128, hexadecimal.
    pub fingerprint: String,
}

/// One sequence, as the dump sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceEntry {
    /// Schema and name.
    #[serde(flatten)]
    pub name: TableName,
    /// Where it stands.
    #[serde(flatten)]
    pub position: Position,
}

/// What was done before it was called a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proof {
    /// The server that it was restored into.
    pub restored_into: Version,
    /// Which provider gave that server.
    pub provider: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What was compared: rows, and the contents of every table.
    pub compared: String,
}

impl Manifest {
    /// Reads a backup's manifest.
    ///
    /// # Errors
    /// [`BackupError::NoManifest`], [`BackupError::BadManifest`].
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let text = match std::fs::read_to_string(folder.join(FILE_NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::NoManifest { folder: folder.into() });
            }
            Err(error) => {
                return Err(BackupError::BadManifest { folder: folder.into(), reason: error.to_string() });
            }
        };
        let bad = |reason: String| BackupError::BadManifest { folder: folder.into(), reason };
        let manifest: Self = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(bad(format!("its format is {}, and this version knows {FORMAT}", manifest.format)));
        }
        Ok(manifest)
    }

    /// Writes it, all of it or nothing.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE_NAME);
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::io("write", &path)(error.into()))?;
        crate::store::write_whole(&path, &text)
    }

    /// Compares the sequences of a restored database with what the dump set.
    ///
    /// # Errors
    /// [`BackupError::Wrong`] with every one that stands elsewhere.
    pub fn check_sequences(&self, found: &Sequences) -> Result<(), BackupError> {
        let differences =
            sequences::misplaced(self.sequences.iter().map(|entry| (&entry.name, &entry.position)), found);
        if differences.is_empty() { Ok(()) } else { Err(BackupError::Wrong { differences }) }
    }

    /// Size of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

/// The newest complete backup of a target.
///
/// # Errors
/// [`BackupError::Nothing`].
pub fn newest(folder: &Path, target: &str) -> Result<PathBuf, BackupError> {
    let of_target = folder.join(target);
    let mut complete: Vec<PathBuf> = std::fs::read_dir(&of_target)
        .map(|entries| {
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join(FILE_NAME).is_file()).collect()
        })
        .unwrap_or_default();
    // Their names open with the time they were made at.
    complete.sort();
    complete.pop().ok_or_else(|| BackupError::Nothing { target: target.into(), folder: of_target })
}
