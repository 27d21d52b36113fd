//! What `status` and `plan` print.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::format::{plural, shortened};
use crate::plan::Plan;
use crate::repair::Finding;
use crate::standing::Line;
use crate::statement::Mode;

/// How much of a statement a plan shows.
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

/// A planned statement, for programs.
#[derive(Serialize)]
struct PlannedStatement<'a> {
    version: i64,
    direction: crate::plan::Direction,
    path: String,
    line: usize,
    class: crate::statement::ClassLabel,
    sql: &'a str,
}

/// What `plan --json` prints: an array of statements.
///
/// # Errors
/// When it cannot be written.
pub fn write_plan_json(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    let statements: Vec<PlannedStatement<'_>> = plan
        .files()
        .iter()
        .flat_map(|file| {
            file.script.statements.iter().map(|statement| PlannedStatement {
                version: file.version,
                direction: file.direction,
                path: file.script.path.display().to_string(),
                line: statement.line,
                class: statement.class.label(),
                sql: &statement.sql,
            })
        })
        .collect();
    serde_json::to_writer(&mut *out, &statements)?;
    writeln!(out)
}

/// What `rollback` prints below its plan, before it asks: what is thrown away, and how much of it.
///
/// # Errors
/// When it cannot be written.
pub fn write_losses<'a>(out: &mut impl Write, losses: impl Iterator<Item = (&'a str, &'a str)>) -> io::Result<()> {
    let mut losses = losses.peekable();
    if losses.peek().is_none() {
        return writeln!(out, "  nothing is dropped or deleted");
    }
    writeln!(out, "  thrown away for good, but for the backup that is made first:")?;
    losses.try_for_each(|(what, amount)| writeln!(out, "    {what}: {amount}"))
}

/// A hook as `plan` shows it.
pub struct HookLine<'a> {
    /// When it is run.
    pub when: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Program and arguments.
    pub words: String,
}

/// What `plan` prints below its statements: the hooks in the order in which they run, and the questions
/// that are open.
///
/// # Errors
/// When it cannot be written.
pub fn write_around(out: &mut impl Write, hooks: &[HookLine<'_>], open: &[(&str, &str)]) -> io::Result<()> {
    if !hooks.is_empty() {
        writeln!(out, "hooks around it")?;
    }
    for HookLine { when, name, words } in hooks {
        writeln!(out, "  {when:<7} {name}: {words}")?;
    }
    if !open.is_empty() {
        writeln!(out, "questions that are open")?;
    }
    open.iter().try_for_each(|(id, ask)| writeln!(out, "  {id}: {ask}"))
}

/// What `plan` prints.
///
/// # Errors
/// When it cannot be written.
pub fn write_plan(out: &mut impl Write, target: &str, plan: &Plan) -> io::Result<()> {
    writeln!(out, "{target}")?;
    if plan.is_empty() {
        return writeln!(out, "  nothing to do");
    }
    for note in plan.notes() {
        writeln!(out, "  note: {note}")?;
    }
    for file in plan.files() {
        let mode = match file.script.mode {
            Mode::OneTransaction => "one transaction",
            Mode::Stepwise => "statement by statement, journalled",
        };
        let resumes = if file.resumes { ", goes on where it stopped" } else { "" };
        writeln!(out, "  {} {} {} — {mode}{resumes}", file.direction.as_str(), file.version, file.description)?;
        if !file.script.limits.is_empty() {
            writeln!(out, "    limits of its own: {}", file.script.limits)?;
        }
        for together in file.script.together() {
            let Some(first) = together.statements.first() else { continue };
            writeln!(
                out,
                "    {}:{}  {:<16} {}",
                file.script.path.display(),
                first.line,
                first.class.label(),
                together.summary(SUMMARY_CHARACTERS)
            )?;
        }
    }
    writeln!(out, "{}", plural(plan.files().len() as u64, "migration"))
}
