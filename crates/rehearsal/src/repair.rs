//! Where the history and the files disagree, and which of it can be put right by a row of the history.
//!
//! Pure: files and history in, [`Finding`]s out.

use crate::plan::Refusal;
use crate::postgres::history::{Applied, History};
use crate::source::{Checksum, MigrationSet};

/// What is recorded, and what the file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksums {
    /// The recorded checksum.
    pub recorded: Checksum,
    /// The file's.
    pub file: Checksum,
}

/// What is amiss with a recorded version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amiss {
    /// Its file is not what was applied.
    Edited(Checksums),
    /// It has no file.
    NoFile,
    /// A run of ours stopped in it.
    Unfinished,
    /// Another tool stopped in it, and nobody knows how far it came.
    Dirty,
}

/// A recorded version, and what is amiss with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The version.
    pub version: i64,
    /// What history or file call it.
    pub description: String,
    /// What is amiss.
    pub amiss: Amiss,
}

impl Finding {
    /// What is amiss, and what to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        let Self { version, .. } = self;
        match &self.amiss {
            Amiss::Edited(_) => format!(
                "its file was edited after it was applied; restore the file, or `cargo xtask repair {version} --reason TEXT` records the file as it is now"
            ),
            Amiss::NoFile => "applied, and without a file; check out the commit that has it".into(),
            Amiss::Unfinished => {
                "a run of this tool stopped half-way; `cargo xtask migrate` or `rollback` goes on where it stopped"
                    .into()
            }
            Amiss::Dirty => Refusal::Dirty { version: *version }.hint(),
        }
    }

    /// Why nothing of it can be put right here.
    fn refusal(&self) -> Option<Refusal> {
        let Self { version, description, .. } = self;
        match self.amiss {
            Amiss::Edited(_) => None,
            Amiss::NoFile => Some(Refusal::MissingFile { version: *version, description: description.clone() }),
            Amiss::Unfinished => Some(Refusal::Unfinished { version: *version }),
            Amiss::Dirty => Some(Refusal::Dirty { version: *version }),
        }
    }
}

/// All that is amiss, by version. Line ends that differ are not: they are accepted everywhere.
#[must_use]
pub fn findings(set: &MigrationSet, history: &History) -> Vec<Finding> {
    let look = |row: &Applied| {
        let amiss = match set.get(row.version) {
            _ if !row.success && history.journalled().is_some() => Amiss::Unfinished,
            _ if !row.success => Amiss::Dirty,
            None if set.tolerance().lets_be_missing(row.version) => return None,
            None => Amiss::NoFile,
            Some(file) if file.up.checksum == row.checksum || file.differs_only_in_line_ends(&row.checksum) => {
                return None;
            }
            Some(file) => Amiss::Edited(Checksums { recorded: row.checksum.clone(), file: file.up.checksum.clone() }),
        };
        Some(Finding { version: row.version, description: row.description.clone(), amiss })
    };
    history.iter().filter_map(look).collect()
}

/// The checksums of a version whose row can be put right, recorded and new; nothing when it is right.
///
/// # Errors
/// A [`Refusal`] when it is not applied, or when its row is not what is amiss.
pub fn checksums(set: &MigrationSet, history: &History, version: i64) -> Result<Option<Checksums>, Refusal> {
    if history.get(version).is_none() {
        return Err(Refusal::UnknownVersion { version, place: "among the applied ones" });
    }
    let Some(finding) = findings(set, history).into_iter().find(|finding| finding.version == version) else {
        return Ok(None);
    };
    match (finding.refusal(), finding.amiss) {
        (None, Amiss::Edited(checksums)) => Ok(Some(checksums)),
        (Some(refusal), _) => Err(refusal),
        (None, _) => Ok(None),
    }
}
