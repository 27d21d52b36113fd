//! What `plan` prints: each statement, and what there is to know of it before it runs.

use std::io::{self, Write};

use serde::Serialize;

use super::format::{bytes, count, duration, plural, shortened, wrapped};
use super::ways::Way;
use crate::analysis::changes::Change;
use crate::analysis::lock_mode::{Blocks, LockMode};
use crate::analysis::outlook::{EffortForeseen, FileOutlook, Outlook, StatementOutlook};
use crate::analysis::rehearsed::{Ran, Rehearsed};
use crate::analysis::work::Kind;
use crate::event::LockHeld;
use crate::statement::{Mode, summary};

/// Version of what `plan --json` prints; it goes up when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// To read a table of fewer rows is no news: on the machines that this was tried on it took less than the
/// 10 ms between two looks at the locks.
const NOTABLE_ROWS: u64 = 10_000;

/// A statement that took less in a rehearsal is over before anybody who waits has noticed.
const NOTABLE_MS: u64 = 100;

/// The longest words of a class, and where a statement begins behind its line and class.
const STATEMENT_COLUMN: usize = 31;

/// What is told of a statement stands this far from the left.
const FACT_COLUMN: usize = 12;

/// What opens a fact: look at this, good to know, not known.
const MARKS: [char; 3] = ['!', '·', '?'];

/// All that a plan has to say.
#[derive(Serialize)]
pub struct Report<'a> {
    /// [`FORMAT`].
    pub format: u32,
    /// The target, and where it is.
    pub target: &'a str,
    /// The newest version that is finished now; 0 for none.
    pub now: i64,
    /// The newest version after the plan; 0 for none.
    pub after: i64,
    /// What a reader should know.
    pub notes: &'a [String],
    /// The files and their statements.
    #[serde(flatten)]
    pub outlook: &'a Outlook,
    /// Objects that come, go, or get another name.
    pub changes: &'a [Change],
    /// What is thrown away for good, and how much of it there is.
    pub losses: Vec<Loss<'a>>,
    /// The ways back, where it is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<Way>,
    /// The hooks around it, in the order in which they run.
    pub hooks: Vec<HookLine<'a>>,
    /// The questions that are open.
    pub questions: Vec<OpenQuestion<'a>>,
}

/// Something that is thrown away.
#[derive(Serialize)]
pub struct Loss<'a> {
    /// What, and by which line.
    pub what: &'a str,
    /// How much of it there is.
    pub amount: &'a str,
}

/// A hook as `plan` shows it.
#[derive(Serialize)]
pub struct HookLine<'a> {
    /// When it is run.
    pub when: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Program and arguments.
    pub command: String,
}

/// A question that nobody has answered with yes.
#[derive(Serialize)]
pub struct OpenQuestion<'a> {
    /// Its name.
    pub id: &'a str,
    /// What it asks.
    pub ask: &'a str,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Characters in a line.
    pub width: usize,
    /// Whole statements, every lock, all that was rehearsed.
    pub verbose: bool,
}

/// What `plan --json` prints: one object.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(out: &mut impl Write, report: &Report<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)
}

/// What `plan` prints for people.
///
/// # Errors
/// When it cannot be written.
pub fn write(out: &mut impl Write, report: &Report<'_>, page: Page) -> io::Result<()> {
    let files = &report.outlook.files;
    if files.is_empty() {
        writeln!(out, "{}", report.target)?;
        return writeln!(out, "  nothing to do");
    }
    writeln!(out, "{}: version {} now, {} after", report.target, report.now, report.after)?;
    for note in report.notes {
        paragraph(out, page, 2, &format!("note: {note}"))?;
    }
    for file in files {
        write_file(out, file, page)?;
    }
    write_findings(out, files, page)?;
    let unlinted = files.iter().filter(|file| !file.linted).count() as u64;
    if unlinted > 0 {
        writeln!(out, "not looked at by the linter, too large or not understood: {}", plural(unlinted, "file"))?;
    }
    write_around(out, report)?;
    writeln!(out, "{}", plural(files.len() as u64, "migration"))?;
    let unrehearsed = files.iter().filter(|file| file.rehearsed.is_none()).count() as u64;
    if unrehearsed > 0 {
        writeln!(out, "  not rehearsed as it is now: {}; cargo xtask rehearse does it", plural(unrehearsed, "file"))?;
    }
    Ok(())
}

fn write_file(out: &mut impl Write, file: &FileOutlook, page: Page) -> io::Result<()> {
    let mode = match file.mode {
        Mode::OneTransaction => "one transaction",
        Mode::Stepwise => "statement by statement, journalled",
    };
    let resumes = if file.resumes { ", goes on where it stopped" } else { "" };
    writeln!(out, "  {} {} {} — {mode}{resumes}", file.direction.as_str(), file.version, file.description)?;
    writeln!(out, "    {}", file.path)?;
    if !file.limits.is_empty() {
        paragraph(out, page, 4, &format!("limits of its own: {}", file.limits))?;
    }
    // What an earlier statement of the transaction has locked stays locked.
    let mut told: Vec<(String, LockMode)> = Vec::new();
    for statement in &file.statements {
        write_statement(out, file, statement, page, &mut told)?;
    }
    if let Some(rehearsed) = &file.rehearsed {
        write_rehearsed(out, rehearsed, page)?;
    }
    Ok(())
}

fn write_statement(
    out: &mut impl Write,
    file: &FileOutlook,
    statement: &StatementOutlook,
    page: Page,
    told: &mut Vec<(String, LockMode)>,
) -> io::Result<()> {
    let room = page.width.saturating_sub(STATEMENT_COLUMN).max(STATEMENT_COLUMN);
    let more = if statement.together > 1 {
        format!(" and {} more", count(statement.together as u64 - 1))
    } else {
        String::new()
    };
    let words = format!("{}{more}", summary(&statement.sql, room.saturating_sub(more.len())));
    writeln!(out, "    {:>6}  {:<17}  {words}", format!(":{}", statement.line), statement.class)?;
    if page.verbose && (statement.sql.contains('\n') || words.ends_with('…')) {
        for line in statement.sql.lines() {
            writeln!(out, "{}", format!("{:FACT_COLUMN$}| {line}", "").trim_end())?;
        }
    }
    let mut facts = locks(file, statement, page, told);
    facts.extend(efforts(file, statement, page));
    let ran = file.rehearsed.iter().flat_map(|rehearsed| &rehearsed.statements);
    let ran = ran.filter(|ran| ran.number == statement.number);
    facts.extend(ran.filter(|ran| page.verbose || ran.duration_ms >= NOTABLE_MS).map(took));
    facts.iter().try_for_each(|fact| paragraph(out, page, FACT_COLUMN, fact))
}

fn took(ran: &Ran) -> String {
    let rows = if ran.rows > 0 { format!(" for {}", plural(ran.rows, "row")) } else { String::new() };
    format!("· took {}{rows} in the rehearsal", duration(ran.duration_ms))
}

fn locks(
    file: &FileOutlook,
    statement: &StatementOutlook,
    page: Page,
    told: &mut Vec<(String, LockMode)>,
) -> Vec<String> {
    let mut facts = Vec::new();
    for lock in &statement.locks {
        let is_news = !told.iter().any(|(relation, mode)| *relation == lock.relation && *mode >= lock.mode);
        let blocks = lock.blocks > Blocks::SchemaChanges && !lock.made_by_plan;
        if file.mode == Mode::OneTransaction {
            told.push((lock.relation.clone(), lock.mode));
        }
        let (relation, mode, blocked) = (&lock.relation, lock.mode.as_sql(), lock.blocks.as_str());
        if blocks && (is_news || page.verbose) {
            facts.push(format!("! blocks {blocked} of {relation} ({mode})"));
        } else if page.verbose {
            let new = if lock.made_by_plan { ", which is new" } else { "" };
            facts.push(format!("· locks {relation}{new} ({mode})"));
        }
    }
    // What the rehearsal saw is better than the reason for not knowing.
    let unseen = statement.locks.is_empty() && file.rehearsed.is_none();
    if let Some(beyond) = statement.locks_beyond.filter(|_| unseen || page.verbose) {
        facts.push(format!("? locks: {beyond}"));
    }
    facts
}

fn efforts(file: &FileOutlook, statement: &StatementOutlook, page: Page) -> Vec<String> {
    let holds = statement.locks.iter().any(|lock| lock.blocks > Blocks::SchemaChanges && !lock.made_by_plan);
    // The rehearsal saw the file as a whole: it tells of one statement only where no other one may have done it.
    let is_alone = |effort: &EffortForeseen| {
        let efforts = file.statements.iter().flat_map(|statement| &statement.efforts);
        efforts.filter(|other| other.kind == Kind::Rewrites && other.relation == effort.relation).count() == 1
    };
    let was_rewritten = |effort: &EffortForeseen| {
        let rehearsed = file.rehearsed.as_ref().filter(|_| is_alone(effort))?;
        Some(rehearsed.rewritten.iter().any(|table| last_part(table) == last_part(&effort.relation)))
    };
    let shown = statement.efforts.iter().filter_map(|effort| {
        let rewrites = effort.kind == Kind::Rewrites;
        let rewritten = was_rewritten(effort).filter(|_| rewrites);
        let certain = effort.unless.is_none() || rewritten == Some(true);
        let is_big = effort.rows.is_none_or(|rows| rows >= NOTABLE_ROWS);
        let is_news = match (rewrites, rewritten) {
            _ if effort.made_by_plan => false,
            (true, Some(false)) if !certain => false,
            (true, _) => true,
            (false, _) => is_big && (certain || holds),
        };
        (is_news || page.verbose).then(|| effort_in_words(effort, certain, rewritten))
    });
    shown.collect()
}

fn effort_in_words(effort: &EffortForeseen, certain: bool, rewritten: Option<bool>) -> String {
    let (mark, verb) = match (effort.kind, certain) {
        (Kind::Rewrites, true) => ("!", "writes every row anew of"),
        (Kind::Rewrites, false) => ("!", "may write every row anew of"),
        (Kind::Reads, true) => ("·", "reads every row of"),
        (Kind::Reads, false) => ("·", "may read every row of"),
    };
    let size = match (effort.made_by_plan, effort.rows, effort.bytes) {
        (true, ..) => ", which is new".to_owned(),
        (_, Some(rows), Some(size)) => format!(": about {}, {}", plural(rows, "row"), bytes(size)),
        (_, None, Some(size)) if size > 0 => format!(": {}", bytes(size)),
        (_, _, Some(_)) => ": never analyzed, so how many is not known".to_owned(),
        _ => ", which is not there under this name".to_owned(),
    };
    let why = match (rewritten, effort.unless) {
        (Some(true), _) => "; the rehearsal saw it".to_owned(),
        (Some(false), Some(_)) => "; the rehearsal did not see it".to_owned(),
        (_, Some(unless)) => format!("; not if {unless}"),
        _ => String::new(),
    };
    format!("{mark} {verb} {}{size}{why}", effort.relation)
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name).trim_matches('"')
}

fn write_rehearsed(out: &mut impl Write, rehearsed: &Rehearsed, page: Page) -> io::Result<()> {
    let long = |held: &&LockHeld| page.verbose || held.longest_ms >= NOTABLE_MS || held.waiting > 0;
    let held: Vec<&LockHeld> = rehearsed.locks.iter().filter(long).collect();
    let copy = rehearsed.copy_of.as_ref().map_or("on generated data".into(), |target| format!("on a copy of {target}"));
    let at = rehearsed.at.format("%Y-%m-%d %H:%M UTC");
    let text = format!("rehearsed {at} {copy}: {}", duration(rehearsed.duration_ms));
    paragraph(out, page, FACT_COLUMN - 2, &text)?;
    for held in held {
        let mode = LockMode::of_pg_locks(&held.mode).map(LockMode::as_sql).unwrap_or(&held.mode);
        let waited = if held.waiting > 0 { format!(", {} waited", count(held.waiting)) } else { String::new() };
        let text = format!("· held {mode} on {} for {}{waited}", held.relation, duration(held.longest_ms));
        paragraph(out, page, FACT_COLUMN, &text)?;
    }
    Ok(())
}

fn write_findings(out: &mut impl Write, files: &[FileOutlook], page: Page) -> io::Result<()> {
    let mut begun = false;
    for file in files {
        for finding in file.statements.iter().flat_map(|statement| &statement.findings) {
            if !begun {
                writeln!(out, "findings of the linter (squawk); `-- squawk-ignore RULE` above a line takes them back")?;
                begun = true;
            }
            writeln!(out, "  {}:{}  {}", file.path, finding.line, finding.rule)?;
            paragraph(out, page, 4, &finding.message)?;
            if let Some(help) = &finding.help {
                paragraph(out, page, 4, &format!("help: {help}"))?;
            }
        }
    }
    Ok(())
}

fn write_around(out: &mut impl Write, report: &Report<'_>) -> io::Result<()> {
    if !report.hooks.is_empty() {
        writeln!(out, "hooks around it")?;
    }
    for HookLine { when, name, command } in &report.hooks {
        writeln!(out, "  {when:<7} {name}: {command}")?;
    }
    if !report.questions.is_empty() {
        writeln!(out, "questions that are open")?;
    }
    report.questions.iter().try_for_each(|OpenQuestion { id, ask }| writeln!(out, "  {id}: {ask}"))
}

/// What a rollback shows below its plan, before it asks: what there is now and after it, and what is thrown away.
///
/// # Errors
/// When it cannot be written.
pub fn write_now_and_after(out: &mut impl Write, report: &Report<'_>, page: Page) -> io::Result<()> {
    let versions = (format!("version {}", report.now), format!("version {}", report.after));
    let objects = report.changes.iter().map(|change| {
        let or = |object: &Option<String>, none: &str| object.clone().unwrap_or_else(|| none.into());
        (or(&change.now, "-"), or(&change.after, "gone"))
    });
    let rows: Vec<(String, String)> = std::iter::once(versions).chain(objects).collect();
    let half = page.width.saturating_sub(6) / 2;
    let wide = rows.iter().map(|(now, _)| now.chars().count().min(half)).max().unwrap_or(0);
    writeln!(out, "  {:<wide$}  after", "now")?;
    for (now, after) in rows {
        writeln!(out, "  {:<wide$}  {}", shortened(&now, half), shortened(&after, half))?;
    }
    if report.losses.is_empty() {
        return writeln!(out, "  nothing is dropped or deleted");
    }
    writeln!(out, "  thrown away for good, but for the backup that is made first:")?;
    report.losses.iter().try_for_each(|Loss { what, amount }| writeln!(out, "    {what}: {amount}"))
}

/// A text from a column on, in as many lines as it needs; behind a mark, further lines stand under the text.
fn paragraph(out: &mut impl Write, page: Page, column: usize, text: &str) -> io::Result<()> {
    let hanging = if MARKS.iter().any(|mark| text.starts_with(*mark)) { 2 } else { 0 };
    let clean = shortened(text, usize::MAX);
    for (index, line) in wrapped(&clean, page.width.saturating_sub(column + hanging)).iter().enumerate() {
        let column = if index == 0 { column } else { column + hanging };
        writeln!(out, "{:column$}{line}", "")?;
    }
    Ok(())
}
