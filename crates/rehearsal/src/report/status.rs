//! What `status` and `repair` print.

use std::io::{self, Write};
use std::path::PathBuf;

use super::format::{plural, shortened};
use crate::repair::Finding;
use crate::standing::Line;

/// How much of a description is shown.
const SUMMARY_CHARACTERS: usize = 90;

/// Room for a version, so that short ones stand as far in everywhere.
const VERSION_WIDTH: usize = 6;

/// The table that `status` prints, with what to do about each version that cannot stay as it is.
///
/// # Errors
/// When it cannot be written.
pub fn write_status(out: &mut impl Write, target: &str, lines: &[Line], ignored: &[PathBuf]) -> io::Result<()> {
    writeln!(out, "{target}")?;
    let width = lines.iter().map(|line| line.version.to_string().len()).fold(VERSION_WIDTH, usize::max);
    for line in lines {
        let back = if line.reversible { "" } else { "  (no way back)" };
        let note = line.note.as_ref().map_or_else(String::new, |note| format!("  ({note})"));
        writeln!(out, "  {:>width$}  {:<17} {}{back}{note}", line.version, line.state, line.description)?;
    }
    let count = |state: &str| lines.iter().filter(|line| line.state == state).count() as u64;
    writeln!(out, "{} applied, {} pending", plural(count("applied"), "migration"), count("pending"))?;
    if count("pending") > 0 {
        writeln!(out, "next: cargo xtask plan, then cargo xtask rehearse, then cargo xtask migrate")?;
    }
    for Line { version, state, next, .. } in lines {
        if let Some(next) = next {
            writeln!(out, "{version} {state}: {next}")?;
        }
    }
    if lines.iter().any(|line| line.state == "pending" && !line.reversible) {
        writeln!(
            out,
            "no way back: only a backup undoes it (cargo xtask db-backup before, cargo xtask restore after), or write its down file"
        )?;
    }
    ignored.iter().try_for_each(|path| writeln!(out, "passed over: {} (no VERSION_ in its name)", path.display()))
}

/// What restores have left beside the database, a line each.
///
/// # Errors
/// When it cannot be written.
pub fn write_beside(out: &mut impl Write, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "beside it on the server")?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))
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
