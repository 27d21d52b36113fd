//! What `db-backup list` shows: values, made from entries.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::entry::{Checked, Entry, State};
use super::place::Repository;
use super::staging::Staged;
use crate::backup::Outcome;
use crate::backup::manifest::Manifest;
use crate::postgres::version::Version;

/// One line.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// Where it is, as `restore` takes it.
    pub place: String,
    /// What it is: only `proven` counts.
    pub state: ListedState,
    /// What else is to be said.
    pub note: Option<String>,
    /// What its manifest says; nothing for what is no backup.
    #[serde(flatten)]
    pub backup: Option<Summary>,
    /// What the last check found.
    pub checked: Option<Checked>,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedState {
    /// A backup that was restored and compared, and that no check has found wrong.
    Proven,
    /// A backup that was not.
    NotProven,
    /// It does not hold what it was made from, or a check has found that it is not what was written.
    Wrong,
    /// Its manifest cannot be read.
    Damaged,
    /// It is made, and waits on this machine to be sent.
    Waiting,
    /// No backup: it has no manifest.
    Unfinished,
    /// No backup: tables as files.
    Tables,
}

impl ListedState {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::NotProven => "not proven",
            Self::Wrong => "wrong",
            Self::Damaged => "damaged",
            Self::Waiting => "waits to be sent",
            Self::Unfinished => "unfinished",
            Self::Tables => "exported tables",
        }
    }
}

/// What a manifest says, in short.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// Its size, as it is stored.
    pub bytes: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// How many tables.
    pub tables: usize,
    /// The newest applied migration.
    pub migration: Option<i64>,
    /// The server that it is of.
    pub server: Version,
    /// What was compared before it counted.
    pub proof: String,
    /// Whether a key is needed to read it.
    pub encrypted: bool,
}

impl Summary {
    fn of(manifest: &Manifest) -> Self {
        Self {
            made_at: manifest.made_at,
            bytes: manifest.files.iter().map(|file| file.at_rest().1).sum(),
            rows: manifest.rows(),
            tables: manifest.tables.len(),
            migration: manifest.migration,
            server: manifest.server,
            proof: manifest.proof.compared.clone(),
            encrypted: manifest.files.iter().any(|file| file.stored.is_some()),
        }
    }
}

/// The lines, oldest first; what waits to be sent comes last.
#[must_use]
pub fn lines(repository: &Repository, entries: &[Entry], waiting: &[Staged], now: DateTime<Utc>) -> Vec<Listed> {
    let there = entries.iter().map(|entry| {
        let (state, note) = match &entry.state {
            State::Backup(_) | State::Exported if entry.checked.as_ref().is_some_and(|checked| !checked.is_good()) => {
                (ListedState::Wrong, None)
            }
            State::Backup(manifest) if manifest.is_proven() => (ListedState::Proven, None),
            State::Backup(manifest) if manifest.proof.outcome == Outcome::Wrong => {
                (ListedState::Wrong, Some(manifest.proof.to_string()))
            }
            State::Backup(manifest) => (ListedState::NotProven, Some(manifest.proof.to_string())),
            State::Damaged { reason } => (ListedState::Damaged, Some(reason.clone())),
            State::Exported => (ListedState::Tables, None),
            State::Unfinished { touched } => {
                let touched = touched.map(|at| format!("last written to {}", at.format("%F %H:%M UTC")));
                (ListedState::Unfinished, touched)
            }
        };
        let future = "its time is in the future: some clock is or was wrong";
        Listed {
            id: entry.id.clone(),
            place: repository.place_of(&entry.id),
            state,
            note: note.or_else(|| entry.is_of_the_future(now).then(|| future.to_owned())),
            backup: entry.manifest().map(Summary::of),
            checked: entry.checked.clone(),
        }
    });
    let waits = waiting.iter().map(|staged| Listed {
        id: staged.id.clone(),
        place: staged.folder.display().to_string(),
        state: ListedState::Waiting,
        note: Some("`cargo xtask db-backup upload` sends it".into()),
        backup: Manifest::read(&staged.folder).ok().as_ref().map(Summary::of),
        checked: None,
    });
    there.chain(waits).collect()
}
