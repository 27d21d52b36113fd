//! What a backup says of itself. Written last: a folder without it is not a backup.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::BackupError;
use super::seal;
use super::verdict::{Outcome, Proof, ProofLevel};
use crate::anonymise::mark::Mark;
use crate::error::{Error, Result};
use crate::postgres::catalog::Surroundings;
use crate::postgres::contents::{Fingerprint, TableName};
use crate::postgres::sequences::Position;
use crate::postgres::version::Version;

/// The manifest's name in the backup's folder.
pub const FILE_NAME: &str = "manifest.json";

/// The folder that pg_dump wrote, in the backup's folder.
pub const DUMP_FOLDER: &str = "dump";

/// Version of the format; it goes up when a field changes its meaning or goes away.
///
/// 1: rows, contents and sequences were compared, always; no seal. It is still read.
/// 2: says how the proof ended, and is sealed.
pub const FORMAT: u32 = 2;

/// The oldest format that is read.
const OLDEST_FORMAT: u32 = 1;

/// The first format with a seal.
const FIRST_SEALED: u32 = 2;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Names it: its folder's name when it was made. Empty in format 1.
    #[serde(default)]
    pub id: String,
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
    /// What tells its database from another one of the same name. Format 1 does not say.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// The snapshot that was dumped, by the name that pg_dump was given. Format 1 does not say.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Where the server's WAL stood when the snapshot was taken. Nothing where it does not tell.
    #[serde(default)]
    pub lsn: Option<String>,
    /// The server it was made from.
    pub server: Version,
    /// The client that made it.
    pub client: Version,
    /// The database's encoding.
    pub encoding: String,
    /// What its texts are sorted and compared by. Format 1 does not say.
    #[serde(default)]
    pub locale: Option<Locale>,
    /// The commit of the workspace.
    pub commit: Option<String>,
    /// The newest applied migration.
    pub migration: Option<i64>,
    /// All applied migrations. Format 1 does not say.
    #[serde(default)]
    pub applied: Vec<i64>,
    /// The migration in whose middle a run had stopped.
    #[serde(default)]
    pub unfinished: Option<i64>,
    /// What the dump leaves out.
    #[serde(flatten)]
    pub surroundings: Surroundings,
    /// Settings of the role and the database, in hexadecimal, where they are encrypted like the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_settings: Option<String>,
    /// Extensions with their versions.
    pub extensions: Vec<String>,
    /// Every file, by its path in the backup's folder.
    pub files: Vec<FileEntry>,
    /// Every table.
    pub tables: Vec<TableEntry>,
    /// Every sequence. Backups of earlier versions say nothing of them.
    #[serde(default)]
    pub sequences: Vec<SequenceEntry>,
    /// Large objects. Format 1 does not say.
    #[serde(default)]
    pub large_objects: Option<LargeObjects>,
    /// The schema, as the dump holds it. Format 1 does not say.
    #[serde(default)]
    pub schema: Option<SchemaEntry>,
    /// What the database has and the dump has not, one phrase each: INVALID indexes.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// How it was proven.
    pub proof: Proof,
    /// It is no backup: its rows are not the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymised: Option<Mark>,
    /// SHA-256 of this file with zeros in this place, see [`super::seal`].
    #[serde(default)]
    pub seal: String,
}

/// Where a backup comes from, whatever name leads there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The cluster's number, made by initdb. Nothing where the role may not see it.
    pub system_identifier: Option<String>,
    /// The database's oid.
    pub database_oid: u32,
}

/// See [`Manifest::locale`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locale {
    /// `libc`, `icu` or `builtin`.
    pub provider: String,
    /// `LC_COLLATE`.
    pub collate: String,
    /// `LC_CTYPE`.
    pub ctype: String,
    /// The locale of a provider other than libc.
    pub locale: Option<String>,
}

/// All large objects together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LargeObjects {
    /// How many.
    pub count: u64,
    /// Bytes in all of them.
    pub bytes: u64,
    /// The sum of their fingerprints, see [`super::large_objects`].
    #[serde(with = "hexadecimal")]
    pub digest: u128,
}

/// See [`Manifest::schema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaEntry {
    /// How many objects.
    pub objects: u64,
    /// SHA-256 over all of them, hexadecimal.
    pub sha256: String,
}

/// A number that JSON's readers would round.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
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
    /// How it is stored where it is not stored as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<super::repository::stored::Stored>,
}

/// One table, as the dump holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Schema and name.
    #[serde(flatten)]
    pub name: TableName,
    /// Its rows.
    pub rows: u64,
    /// Its bytes, as COPY writes them. 0 in format 1.
    #[serde(default)]
    pub bytes: u64,
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

impl TableEntry {
    /// Its rows and fingerprint.
    #[must_use]
    pub fn held(&self) -> Fingerprint {
        Fingerprint { rows: self.rows, sum: u128::from_str_radix(&self.fingerprint, 16).unwrap_or_default() }
    }
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
        Self::from_text(&text, folder)
    }

    /// Reads the text of one that is at that place.
    ///
    /// # Errors
    /// [`BackupError::BadManifest`].
    pub fn from_text(text: &str, place: &Path) -> Result<Self, BackupError> {
        Self::parse(text).map_err(|reason| BackupError::BadManifest { folder: place.into(), reason })
    }

    /// Reads its text; what is wrong with it, as a phrase.
    fn parse(text: &str) -> Result<Self, String> {
        let mut value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        // Before all else: a field may mean something else in another format.
        let format = value.get("format").and_then(Value::as_u64);
        match format {
            Some(1) => upgrade(&mut value),
            Some(2) => {}
            other => {
                let found = other.map_or_else(|| "missing".into(), |format| format!("{format}"));
                return Err(format!("its format is {found}, and this version knows {OLDEST_FORMAT} to {FORMAT}"));
            }
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if manifest.format >= FIRST_SEALED && !seal::fits(text, &manifest.seal) {
            return Err("its seal is broken: it is not what was written, somebody edited it or it was damaged".into());
        }
        Ok(manifest)
    }

    /// Its text, sealed.
    ///
    /// # Errors
    /// None that is known of: what it holds can be written as JSON.
    pub fn text(&self) -> std::io::Result<String> {
        let open = Self { format: FORMAT, seal: seal::OPEN.into(), ..self.clone() };
        Ok(seal::close(&serde_json::to_string_pretty(&open)?))
    }

    /// Writes it, all of it or nothing.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE_NAME);
        let text = self.text().map_err(Error::io("write", &path))?;
        crate::store::write_whole(&path, text.as_bytes())
    }

    /// Whether it was restored and found to be what it was made from.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven().is_some()
    }

    /// How much of it was proven; nothing when it is not.
    #[must_use]
    pub fn proven(&self) -> Option<ProofLevel> {
        let Proof { outcome, level, .. } = &self.proof;
        (*outcome == Outcome::Proven && *level != ProofLevel::None).then_some(*level)
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

/// Format 1 was only ever written after all tables and sequences had been compared, and says it by being there.
fn upgrade(value: &mut Value) {
    if let Some(proof) = value.get_mut("proof").and_then(Value::as_object_mut) {
        proof.insert("outcome".into(), "proven".into());
        proof.insert("level".into(), "full".into());
    }
}
