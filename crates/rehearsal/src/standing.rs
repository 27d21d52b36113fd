//! Where each version stands, and what is to be done next about it.
//!
//! Pure: files and history in, [`Line`]s out.

use serde::Serialize;

use crate::plan::{Direction, Refusal};
use crate::postgres::history::{Applied, History};
use crate::source::{Migration, MigrationSet};

/// Where one version stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The version.
    pub version: i64,
    /// Its description.
    pub description: String,
    /// `applied`, `pending`, `out of order`, `unfinished`, `edited`, `line ends differ`, `no file`.
    pub state: &'static str,
    /// There is a way back.
    pub reversible: bool,
    /// What is accepted of it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What to do next, where the version cannot stay as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// All versions, of the files and of the history.
#[must_use]
pub fn lines(set: &MigrationSet, history: &History) -> Vec<Line> {
    let of_files = set.iter().map(|migration| of_file(set, history, migration));
    let without = history.iter().filter(|applied| set.get(applied.version).is_none());
    let mut lines: Vec<Line> = of_files.chain(without.map(|applied| of_row(set, history, applied))).collect();
    lines.sort_by_key(|line| line.version);
    lines
}

fn of_file(set: &MigrationSet, history: &History, migration: &Migration) -> Line {
    let version = migration.version;
    let line = Line {
        version,
        description: migration.description.clone(),
        state: "applied",
        reversible: migration.down.is_some(),
        note: None,
        next: None,
    };
    let newer = history.latest_finished().filter(|latest| *latest > version);
    match (history.get(version), newer) {
        (None, Some(_)) if set.tolerance().lets_come_late(version) => {
            Line { state: "pending", note: Some("comes late, as rehearsal.toml lets it".into()), ..line }
        }
        (None, Some(latest)) => {
            Line { state: "out of order", next: Some(Refusal::OutOfOrder { version, latest }.hint()), ..line }
        }
        (None, None) => Line { state: "pending", ..line },
        (Some(applied), _) if !applied.success => unfinished(history, line),
        (Some(applied), _) if applied.checksum == migration.up.checksum => line,
        (Some(applied), _) if migration.differs_only_in_line_ends(&applied.checksum) => {
            Line { state: "line ends differ", note: Some("accepted: nothing else differs".into()), ..line }
        }
        (Some(_), _) => {
            let path = migration.up.path.clone();
            Line { state: "edited", next: Some(Refusal::Edited { version, path }.hint()), ..line }
        }
    }
}

fn of_row(set: &MigrationSet, history: &History, applied: &Applied) -> Line {
    let Applied { version, description, .. } = applied;
    let line = Line {
        version: *version,
        description: description.clone(),
        state: "no file",
        reversible: false,
        note: None,
        next: None,
    };
    if !applied.success {
        return unfinished(history, line);
    }
    if set.tolerance().lets_be_missing(*version) {
        return Line { note: Some("gone for good, as rehearsal.toml says".into()), ..line };
    }
    let refusal = Refusal::MissingFile { version: *version, description: description.clone() };
    Line { next: Some(refusal.hint()), ..line }
}

fn unfinished(history: &History, line: Line) -> Line {
    let version = line.version;
    let refusal = match history.journalled().map(|unfinished| unfinished.direction) {
        Some(Direction::Up) => Refusal::MigrationUnfinished { version },
        Some(Direction::Down) => Refusal::RollbackUnfinished { version },
        None => Refusal::Dirty { version },
    };
    Line { state: "unfinished", next: Some(refusal.hint()), ..line }
}
