//! What of an upload is done: lines of JSON beside the staged backup, each on the disk before the upload goes
//! on. A run that was killed is taken up from them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::failure::RepositoryError;
use crate::backup::manifest::FileEntry;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Note {
    /// What the lines below are about. Another place or other recipients begin anew.
    Upload { to: String, recipients: Vec<String> },
    /// An upload in parts has begun.
    Begun { path: String, upload: String },
    /// It was completed, or aborted.
    Ended { path: String, upload: String },
    /// A file is there.
    Sent(SentFile),
}

/// A file that is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SentFile {
    /// Its entry, with how it is stored.
    pub entry: FileEntry,
    /// What the service called these bytes.
    pub e_tag: Option<String>,
}

/// See the module.
pub(super) struct Notes {
    path: PathBuf,
    file: Mutex<File>,
    /// The files that are there, by their paths in the backup.
    pub sent: BTreeMap<String, SentFile>,
    /// Uploads that have begun, and of whose end nothing is known: path and the service's number.
    pub open: Vec<(String, String)>,
}

impl Notes {
    /// Reads what earlier runs noted of sending this to there, and goes on.
    pub(super) fn open(path: &Path, to: &str, recipients: &[String]) -> Result<Self, RepositoryError> {
        // The last line of a run that was killed may be cut.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let notes: Vec<Note> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let mut open = Vec::new();
        let mut sent = BTreeMap::new();
        let mut same = false;
        for note in notes {
            match note {
                Note::Upload { to: other, recipients: others } => {
                    same = other == to && others == recipients;
                    sent.clear();
                }
                Note::Begun { path, upload } => open.push((path, upload)),
                Note::Ended { path, upload } => open.retain(|other| *other != (path.clone(), upload.clone())),
                Note::Sent(file) => drop(sent.insert(file.entry.path.clone(), file)),
            }
        }
        if !same {
            sent.clear();
        }
        let mut file =
            OpenOptions::new().create(true).append(true).open(path).map_err(RepositoryError::io("write", path))?;
        // Behind a line that was cut, another one would be lost as well.
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(RepositoryError::io("write", path))?;
        }
        let notes = Self { path: path.to_owned(), file: Mutex::new(file), sent, open };
        if !same {
            notes.write(&Note::Upload { to: to.into(), recipients: recipients.to_vec() })?;
        }
        Ok(notes)
    }

    /// An upload in parts has begun.
    pub(super) fn begun(&self, path: &str, upload: &str) -> Result<(), RepositoryError> {
        self.write(&Note::Begun { path: path.into(), upload: upload.into() })
    }

    /// It was completed, or aborted.
    pub(super) fn ended(&self, path: &str, upload: &str) -> Result<(), RepositoryError> {
        self.write(&Note::Ended { path: path.into(), upload: upload.into() })
    }

    /// A file is there.
    pub(super) fn sent(&self, file: SentFile) -> Result<(), RepositoryError> {
        self.write(&Note::Sent(file))
    }

    fn write(&self, note: &Note) -> Result<(), RepositoryError> {
        let trouble = |error| RepositoryError::io("write", &self.path)(error);
        let mut line = serde_json::to_vec(note).map_err(|error| trouble(error.into()))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> SentFile {
        let entry = FileEntry { path: path.into(), bytes: 1, sha256: "00".into(), stored: None };
        SentFile { entry, e_tag: Some("\"x\"".into()) }
    }

    #[test]
    fn a_cut_line_is_as_if_it_had_not_been_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes");
        let notes = Notes::open(&path, "s3://b", &[]).expect("notes");
        notes
            .sent(file("one"))
            .and_then(|()| notes.begun("two", "7"))
            .and_then(|()| notes.begun("three", "8"))
            .expect("written");
        notes.ended("three", "8").expect("written");
        let mut text = std::fs::read(&path).expect("read");
        text.extend_from_slice(b"{\"sent\":{\"entry\":{\"path\":\"fo");
        std::fs::write(&path, text).expect("written");
        let notes = Notes::open(&path, "s3://b", &[]).expect("notes");
        notes.sent(file("five")).expect("written");
        let notes = Notes::open(&path, "s3://b", &[]).expect("notes");
        assert_eq!(notes.sent.keys().collect::<Vec<_>>(), ["five", "one"]);
        assert_eq!(notes.open, [("two".to_owned(), "7".to_owned())]);
        // Elsewhere nothing is there yet, and what has begun is still to be ended.
        let notes = Notes::open(&path, "s3://c", &[]).expect("notes");
        assert_eq!((notes.sent.len(), notes.open.len()), (0, 1));
    }
}
