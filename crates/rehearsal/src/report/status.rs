//! What `status` and `repair` print.

use std::io::{self, Write};

use serde::Serialize;

use super::format::{plural, shortened};
use crate::postgres::history::History;
use crate::repair::Finding;
use crate::source::MigrationSet;

/// How much of a description is shown.
const SUMMARY_CHARACTERS: usize = 90;

/// Where one version stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The version.
    pub version: i64,
    /// Its description.
    pub description: String,
    /// `applied`, `pending`, `unfinished`, `edited`, `line ends differ`, `no file`.
    pub state: &'static str,
    /// There is a way back.
    pub reversible: bool,
}

/// All versions, of the files and of the history.
#[must_use]
pub fn lines(set: &MigrationSet, history: &History) -> Vec<Line> {
    let mut lines: Vec<Line> = set
        .iter()
        .map(|migration| Line {
            version: migration.version,
            description: migration.description.clone(),
            reversible: migration.down.is_some(),
            state: match history.get(migration.version) {
                None => "pending",
                Some(applied) if !applied.success => "unfinished",
                Some(applied) if applied.checksum == migration.up.checksum => "applied",
                Some(applied) if migration.differs_only_in_line_ends(&applied.checksum) => "line ends differ",
                Some(_) => "edited",
            },
        })
        .chain(history.iter().filter(|applied| set.get(applied.version).is_none()).map(|applied| Line {
            version: applied.version,
            description: applied.description.clone(),
            state: "no file",
            reversible: false,
        }))
        .collect();
    lines.sort_by_key(|line| line.version);
    lines
}

/// The table that `status` prints.
///
/// # Errors
/// When it cannot be written.
pub fn write_status(out: &mut impl Write, target: &str, lines: &[Line]) -> io::Result<()> {
    writeln!(out, "{target}")?;
    for line in lines {
        let back = if line.reversible { "" } else { "  (no way back)" };
        writeln!(out, "  {:>6}  {:<17} {}{back}", line.version, line.state, line.description)?;
    }
    let count = |state: &str| lines.iter().filter(|line| line.state == state).count() as u64;
    writeln!(out, "{} applied, {} pending", plural(count("applied"), "migration"), count("pending"))?;
    for (state, advice) in [
        ("pending", "next: cargo xtask plan, then cargo xtask rehearse, then cargo xtask migrate"),
        ("unfinished", "unfinished: cargo xtask migrate (or rollback) goes on where it stopped"),
        (
            "edited",
            "edited: restore the file as it was applied; put the change into a new migration (or see cargo xtask repair)",
        ),
        ("no file", "no file: check out the commit that has it"),
    ] {
        if count(state) > 0 {
            writeln!(out, "{advice}")?;
        }
    }
    Ok(())
}

/// What `repair` prints: a line for each version that is amiss, and what to do about it.
///
/// # Errors
/// When it cannot be written.
pub fn write_findings(out: &mut impl Write, target: &str, findings: &[Finding]) -> io::Result<()> {
    writeln!(out, "{target}")?;
    if findings.is_empty() {
        return writeln!(out, "  history and files agree");
    }
    findings.iter().try_for_each(|finding| {
        let description = shortened(&finding.description, SUMMARY_CHARACTERS);
        writeln!(out, "  {:>6}  {description}: {}", finding.version, finding.advice())
    })
}
