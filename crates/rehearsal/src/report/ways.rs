//! The ways back from a release, and what each of them loses.

use std::io::{self, Write};

use serde::Serialize;

use super::format::wrapped;
use super::plan::Page;

/// Where the text stands behind a way's name.
const TEXT_COLUMN: usize = 11;

/// One way back.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    /// What `--way` calls it.
    pub name: &'static str,
    /// It is the one that is taken.
    pub taken: bool,
    /// What it does, and what it loses; or why it cannot be taken.
    pub text: String,
    /// What was written since and would be lost, a line each.
    pub loses: Vec<String>,
    /// What is known of it from rehearsals and backups.
    pub known: Option<String>,
}

/// Shows them, the one that is taken with a mark.
///
/// # Errors
/// When it cannot be written.
pub fn write(out: &mut impl Write, ways: &[Way], page: Page) -> io::Result<()> {
    if ways.is_empty() {
        return Ok(());
    }
    writeln!(out, "ways back (--way NAME takes another one)")?;
    for way in ways {
        let mark = if way.taken { '▸' } else { ' ' };
        let mut head = format!("{mark} {:<8}", way.name);
        let texts = std::iter::once(&way.text).chain(&way.known);
        for line in texts.flat_map(|text| wrapped(text, page.width.saturating_sub(TEXT_COLUMN))) {
            writeln!(out, "{head:<TEXT_COLUMN$}{line}")?;
            head = String::new();
        }
        way.loses.iter().try_for_each(|line| writeln!(out, "{:TEXT_COLUMN$}  {line}", ""))?;
    }
    Ok(())
}
