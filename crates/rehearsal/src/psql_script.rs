//! What `plan --sql` prints: a plan as a script for psql, with the history rows that would be written.

use std::io::{self, Write};

use crate::apply::Limits;
use crate::plan::{Direction, Plan, PlannedFile};
use crate::postgres::history;
use crate::postgres::identifier::literal;
use crate::postgres::schema::hex;
use crate::report::format::shortened;
use crate::statement::{Batch, Class, Mode, Statement};

/// What stands above the script.
pub struct Heading<'a> {
    /// The target, and where it is.
    pub target: &'a str,
    /// When the plan was made.
    pub at: String,
    /// The newest finished version now, and after the script; 0 for none.
    pub versions: (i64, i64),
}

/// What the statements run under.
pub struct Terms<'a> {
    /// sqlx's history table, as SQL writes it.
    pub history_table: &'a str,
    /// How long things may take.
    pub limits: &'a Limits,
}

/// Writes the script.
///
/// # Errors
/// When it cannot be written.
pub fn write(out: &mut impl Write, plan: &Plan, heading: &Heading<'_>, terms: &Terms<'_>) -> io::Result<()> {
    let (now, after) = heading.versions;
    comment(out, &format!("{}: version {now} now, {after} after; planned {}", heading.target, heading.at))?;
    if plan.is_empty() {
        return comment(out, "Nothing to do.");
    }
    for note in plan.notes() {
        comment(out, &format!("note: {note}"))?;
    }
    let table = terms.history_table;
    for line in [
        "For psql, which stops at the first error:",
        "Run it with nobody else migrating: unlike the tool it takes no lock for the whole of it, tries nothing again,",
        "keeps no journal, and runs a batched statement whole.",
    ] {
        comment(out, line)?;
    }
    comment(
        out,
        &format!("The rows of {table} are sqlx's own record; execution_time, which nobody knows before, is -1."),
    )?;
    writeln!(out, "\\set ON_ERROR_STOP on")?;
    if plan.files().iter().any(|file| file.direction == Direction::Up) {
        writeln!(out, "\n{}", history::definition(table))?;
    }
    for file in plan.files() {
        writeln!(out)?;
        let limits = file.script.limits.over(terms.limits);
        let terms = &Terms { limits: &limits, ..*terms };
        let path = file.script.path.display();
        comment(out, &format!("{} {} {}: {path}", file.direction.as_str(), file.version, file.description))?;
        match file.script.mode {
            Mode::OneTransaction => one_transaction(out, file, terms)?,
            Mode::Stepwise => stepwise(out, file, terms)?,
        }
    }
    Ok(())
}

fn one_transaction(out: &mut impl Write, file: &PlannedFile, terms: &Terms<'_>) -> io::Result<()> {
    writeln!(out, "BEGIN;")?;
    limits(out, terms)?;
    let last = file.script.statements.last().map(|last| last.number);
    for statement in &file.script.statements {
        whole(out, statement)?;
        if statement.may_set() && Some(statement.number) != last {
            limits(out, terms)?;
        }
    }
    if restored(out, file)? {
        // RESET ALL takes them along.
        limits(out, terms)?;
    }
    writeln!(out, "{}", recorded(file, terms.history_table))?;
    writeln!(out, "COMMIT;")
}

/// As the tool does it: the row says `success = false` until the last statement is done.
fn stepwise(out: &mut impl Write, file: &PlannedFile, terms: &Terms<'_>) -> io::Result<()> {
    let (table, version) = (terms.history_table, file.version);
    comment(out, "Not one transaction: should it stop in between, go on behind the last statement that is done.")?;
    match (file.resumes, file.direction) {
        (true, _) => {
            comment(out, "An earlier run has stopped in it: leave out what is done (cargo xtask migrate knows).")?
        }
        (false, Direction::Up) => writeln!(out, "{}", inserted(file, table, false))?,
        (false, Direction::Down) => writeln!(out, "UPDATE {table} SET success = false WHERE version = {version};")?,
    }
    for statement in &file.script.statements {
        match &statement.class {
            Class::NonTransactional(action) => {
                writeln!(
                    out,
                    "SET lock_timeout = {};\nSET statement_timeout = {};",
                    terms.limits.lock_timeout_outside(action).as_millis(),
                    terms.limits.concurrently_timeout.as_millis()
                )?;
                whole(out, statement)?;
                writeln!(out, "RESET lock_timeout;\nRESET statement_timeout;")?;
            }
            Class::Transactional | Class::Batched(_) => {
                if let Class::Batched(batch) = &statement.class {
                    range(out, statement, batch)?;
                }
                writeln!(out, "BEGIN;")?;
                limits(out, terms)?;
                whole(out, statement)?;
                writeln!(out, "COMMIT;")?;
            }
        }
    }
    restored(out, file)?;
    match file.direction {
        Direction::Up => writeln!(out, "UPDATE {table} SET success = true WHERE version = {version};"),
        Direction::Down => writeln!(out, "{}", recorded(file, table)),
    }
}

fn limits(out: &mut impl Write, terms: &Terms<'_>) -> io::Result<()> {
    writeln!(out, "SET LOCAL lock_timeout = {};", terms.limits.lock_timeout.as_millis())?;
    writeln!(out, "SET LOCAL statement_timeout = {};", terms.limits.statement_timeout.as_millis())
}

/// Ends with the file what it may have set, as [`Session::restore`](crate::postgres::session::Session::restore)
/// does: the history is found by the session's own search_path, and written by its own role. Says whether
/// there may have been anything.
fn restored(out: &mut impl Write, file: &PlannedFile) -> io::Result<bool> {
    if !file.script.statements.iter().any(Statement::may_set) {
        return Ok(false);
    }
    comment(out, "What the file may have set ends with it, and so does what a .psqlrc has set:")?;
    writeln!(out, "RESET SESSION AUTHORIZATION;\nRESET ROLE;\nRESET ALL;")?;
    Ok(true)
}

/// The statement as it stands in the file, ended once.
fn whole(out: &mut impl Write, statement: &Statement) -> io::Result<()> {
    let sql = statement.sql.trim_end().trim_end_matches(';').trim_end();
    // A comment at its end would swallow the semicolon.
    let end = if sql.lines().last().is_some_and(|line| line.contains("--")) { "\n;" } else { ";" };
    writeln!(out, "{sql}{end}")
}

/// What the tool sends instead, batch after batch.
fn range(out: &mut impl Write, statement: &Statement, batch: &Batch) -> io::Result<()> {
    let key = format!("{}.{}", batch.qualifier, batch.key);
    let mut sql = statement.sql.clone();
    sql.replace_range(batch.marker.clone(), &format!("({key} > :after AND {key} <= :to)"));
    comment(out, "The tool runs it in ranges of the key, each its own transaction, so that nobody waits for long:")?;
    sql.lines().try_for_each(|line| comment(out, &format!("  {line}")))
}

fn recorded(file: &PlannedFile, table: &str) -> String {
    match file.direction {
        Direction::Up => inserted(file, table, true),
        Direction::Down => format!("DELETE FROM {table} WHERE version = {};", file.version),
    }
}

fn inserted(file: &PlannedFile, table: &str, success: bool) -> String {
    let (description, checksum) = (literal(&file.description), literal(&hex(&file.checksum)));
    format!(
        "INSERT INTO {table} (version, description, success, checksum, execution_time)\n    \
         VALUES ({}, {description}, {success}, decode({checksum}, 'hex'), -1);",
        file.version
    )
}

fn comment(out: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(out, "-- {}", shortened(text, usize::MAX))
}
