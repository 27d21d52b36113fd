//! What `doctor` prints.

use std::io::{self, Write};

use super::format::wrapped;
use crate::doctor::{Area, Diagnosis, Finding, Level};

/// Room for the longest area's name and its mark.
const COLUMN: usize = 18;

/// The narrowest text that is still read with ease.
const LEAST_WIDTH: usize = 40;

/// How it looks.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// How wide a line may be, in characters.
    pub width: usize,
    /// Escape sequences for colours.
    pub color: bool,
    /// What is better than this is not shown.
    pub least: Level,
}

/// A line for each finding, what to do below it, and how many are what at the end.
///
/// # Errors
/// When it cannot be written.
pub fn write(out: &mut impl Write, diagnosis: &Diagnosis, style: Style) -> io::Result<()> {
    let mut before: Option<Area> = None;
    for finding in diagnosis.findings.iter().filter(|finding| finding.level >= style.least) {
        write_finding(out, finding, before == Some(finding.area), style)?;
        before = Some(finding.area);
    }
    let figure = |level: Level, one: &str, many: &str| {
        let count = diagnosis.count(level);
        format!("{count} {}", if count == 1 { one } else { many })
    };
    let [ok, warnings, problems] = [
        figure(Level::Ok, "is as it should be", "are as they should be"),
        figure(Level::Warning, "to look at", "to look at"),
        figure(Level::Problem, "problem", "problems"),
    ];
    writeln!(out, "{ok}, {warnings}, {problems}")
}

fn write_finding(out: &mut impl Write, finding: &Finding, again: bool, style: Style) -> io::Result<()> {
    let (mark, paint) = match finding.level {
        Level::Ok => ("✓", "32"),
        Level::Warning => ("!", "33"),
        Level::Problem => ("✗", "31"),
    };
    let mark = if style.color { format!("\u{1b}[{paint}m{mark}\u{1b}[0m") } else { mark.to_owned() };
    let area = if again { "" } else { finding.area.as_str() };
    let room = style.width.saturating_sub(COLUMN).max(LEAST_WIDTH);
    let remedy = finding.remedy.iter().map(|remedy| format!("what to do: {remedy}"));
    let text = std::iter::once(finding.what.clone()).chain(remedy);
    for (index, line) in text.flat_map(|text| wrapped(&text, room)).enumerate() {
        match index {
            0 => writeln!(out, "{mark} {area:<width$}{line}", width = COLUMN - 2)?,
            _ => writeln!(out, "{:COLUMN$}{line}", "")?,
        }
    }
    Ok(())
}
