//! What `db-backup list`, `show` and `prune` print.

use std::io::{self, Write};

use super::format::{bytes, count, plural, shortened};
use crate::backup::repository::listing::{Listed, ListedState};
use crate::backup::repository::retention::Decision;

/// How much of a note is shown: all that our own sentences say. Names in a manifest may be longer.
const NOTE_CHARACTERS: usize = 400;

/// The backups of a target, and what is none.
///
/// # Errors
/// When it cannot be written.
pub fn write_list(out: &mut impl Write, target: &str, place: &str, lines: &[Listed]) -> io::Result<()> {
    writeln!(out, "{target} in {place}")?;
    let width = lines.iter().map(|line| line.id.chars().count()).max().unwrap_or_default();
    for line in lines {
        write!(out, "  {:<width$}  {}", shortened(&line.id, NOTE_CHARACTERS), line.state.as_str())?;
        if let Some(backup) = &line.backup {
            write!(
                out,
                "  {}  {}  {}  {}  PostgreSQL {}",
                backup.made_at.format("%F %H:%M UTC"),
                bytes(backup.bytes),
                plural(backup.rows, "row"),
                backup.migration.map_or_else(|| "no migration".into(), |version| format!("migration {version}")),
                backup.server
            )?;
            if backup.encrypted {
                write!(out, "  encrypted")?;
            }
        }
        writeln!(out)?;
        let detail = line.backup.as_ref().filter(|_| line.state == ListedState::Proven);
        if let Some(backup) = detail {
            writeln!(out, "  {:<width$}  compared: {}", "", shortened(&backup.proof, NOTE_CHARACTERS))?;
        }
        let before = line.checked.as_ref().and_then(|checked| checked.before.as_deref());
        for checked in before.into_iter().chain(&line.checked) {
            let (at, what) = (checked.at.format("%F %H:%M UTC"), shortened(&checked.what, NOTE_CHARACTERS));
            writeln!(out, "  {:<width$}  checked {at}: {what}", "")?;
        }
        if let Some(note) = &line.note {
            writeln!(out, "  {:<width$}  {}", "", shortened(note, NOTE_CHARACTERS))?;
        }
    }
    let proven = lines.iter().filter(|line| line.state == ListedState::Proven).count();
    let waiting = lines.iter().filter(|line| line.state == ListedState::Waiting).count();
    write!(out, "{}", plural(proven as u64, "proven backup"))?;
    match lines.len() - proven - waiting {
        0 => {}
        others => write!(out, ", {} that do not count", count(others as u64))?,
    }
    if waiting > 0 {
        write!(out, ", {} to be sent", count(waiting as u64))?;
    }
    writeln!(out)
}

/// The tables of a backup with their rows.
///
/// # Errors
/// When it cannot be written.
pub fn write_tables(out: &mut impl Write, tables: impl Iterator<Item = (String, u64)>) -> io::Result<()> {
    let tables: Vec<_> = tables.collect();
    let width = tables.iter().map(|(_, rows)| count(*rows).len()).max().unwrap_or_default();
    writeln!(out, "tables")?;
    tables
        .iter()
        .try_for_each(|(name, rows)| writeln!(out, "  {:>width$}  {}", count(*rows), shortened(name, NOTE_CHARACTERS)))
}

/// What `prune` is going to do.
///
/// # Errors
/// When it cannot be written.
pub fn write_decisions(
    out: &mut impl Write,
    place: &str,
    decisions: &[Decision],
    abandoned: &[String],
) -> io::Result<()> {
    writeln!(out, "{place}")?;
    let width = decisions.iter().map(|decision| decision.id.chars().count()).max().unwrap_or_default();
    for decision in decisions {
        let word = if decision.removed { "remove" } else { "keep  " };
        let (id, at) = (shortened(&decision.id, NOTE_CHARACTERS), decision.made_at.format("%F %H:%M UTC"));
        writeln!(out, "  {word}  {id:<width$}  {at}  {}", decision.reason)?;
    }
    for id in abandoned {
        writeln!(
            out,
            "  clear   {}  no backup: without a manifest, and untouched for a day",
            shortened(id, NOTE_CHARACTERS)
        )?;
    }
    let removed: Vec<&Decision> = decisions.iter().filter(|decision| decision.removed).collect();
    let freed = removed.iter().map(|decision| decision.bytes).sum();
    writeln!(
        out,
        "{} to remove ({}), {} to keep",
        plural(removed.len() as u64, "backup"),
        bytes(freed),
        count((decisions.len() - removed.len()) as u64)
    )
}
