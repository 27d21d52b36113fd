//! What each step ran and said.

use serde::Serialize;

use crate::event::{Level, Paused, StatementDone};
use crate::record::{Record, StepRecord};
use crate::report::format::{count, duration};

/// The width of a bar in its own units.
const WIDTH: u64 = 1_000;

/// A step's detail.
#[derive(Serialize)]
pub(super) struct Section {
    number: usize,
    name: String,
    summary: String,
    /// Warnings come first.
    warnings: Vec<String>,
    notes: Vec<String>,
    losses: Vec<(String, String)>,
    figures: Vec<(String, String)>,
    statements: Vec<Statement>,
    notices: Vec<String>,
    smoke: Vec<Smoke>,
    answers: Vec<String>,
    hook: Option<Hook>,
}

#[derive(Serialize)]
struct Statement {
    version: String,
    line: usize,
    class: String,
    rows: String,
    took: String,
    width: u64,
    text: String,
    /// Batches, pauses, tries.
    about: String,
}

#[derive(Serialize)]
struct Smoke {
    class: &'static str,
    word: &'static str,
    service: String,
    name: String,
    request: String,
    status: String,
    took: String,
    complaints: Vec<String>,
}

#[derive(Serialize)]
struct Hook {
    name: String,
    command: String,
    ending: String,
    output: String,
}

/// Of the steps that have something to show.
pub(super) fn sections(record: &Record) -> Vec<Section> {
    record.steps.iter().map(section).filter(|section| !section.is_empty()).collect()
}

impl Section {
    fn is_empty(&self) -> bool {
        self.warnings.is_empty()
            && self.notes.is_empty()
            && self.losses.is_empty()
            && self.figures.is_empty()
            && self.statements.is_empty()
            && self.notices.is_empty()
            && self.smoke.is_empty()
            && self.answers.is_empty()
            && self.hook.is_none()
    }
}

fn section(step: &StepRecord) -> Section {
    let of_level = |wanted: Level| {
        let notes = step.notes.iter().filter(move |(level, _)| *level == wanted);
        notes.map(|(_, note)| note.clone()).collect()
    };
    let longest = step.statements.iter().map(|done| done.duration_ms).max().unwrap_or_default().max(1);
    Section {
        number: step.index + 1,
        name: step.name.clone(),
        summary: step.summary.clone(),
        warnings: of_level(Level::Warn),
        notes: of_level(Level::Info),
        losses: step.losses.clone(),
        figures: step.figures.clone(),
        statements: step.statements.iter().map(|done| statement(done, longest)).collect(),
        notices: step
            .notices
            .iter()
            .map(|heard| {
                let severity = heard.notice.severity.as_str();
                format!(
                    "{} {}:{} {severity}: {}",
                    heard.version,
                    heard.direction.as_str(),
                    heard.line,
                    heard.notice.text
                )
            })
            .collect(),
        smoke: smoke(step),
        answers: step
            .answers
            .iter()
            .map(|answer| {
                let yes = if answer.yes { "yes" } else { "no" };
                format!("{} — {yes}, {}, {}", answer.ask, answer.by, answer.at.format("%Y-%m-%d %H:%M:%S UTC"))
            })
            .collect(),
        hook: step.hook.as_ref().map(|hook| Hook {
            name: format!("{} ({})", hook.name, hook.when.as_str()),
            command: hook.command.clone(),
            ending: hook.ending.clone(),
            output: hook.output.join("\n"),
        }),
    }
}

fn statement(done: &StatementDone, longest: u64) -> Statement {
    let mut about = Vec::new();
    if let Some(batches) = done.batches {
        about.push(format!("{} batches", count(batches)));
        about.push(format!("the longest {}", duration(done.longest_batch_ms.unwrap_or_default())));
    }
    let paused = |paused: &Paused| format!("paused {} {}", duration(paused.duration_ms), paused.reason.as_str());
    about.extend(done.pauses.iter().map(paused));
    if done.retries > 0 {
        about.push(format!("{} tries before", done.retries));
    }
    if done.already_done {
        about.push("done by an earlier run".into());
    }
    if let Some(together) = done.together {
        about.push(format!("sent together with {together}"));
    }
    Statement {
        version: format!("{} {}", done.version, done.direction.as_str()),
        line: done.line,
        class: done.class.to_string(),
        rows: count(done.rows),
        took: duration(done.duration_ms),
        width: done.duration_ms * WIDTH / longest,
        text: done.summary.clone(),
        about: about.join(", "),
    }
}

fn smoke(step: &StepRecord) -> Vec<Smoke> {
    step.smoke
        .iter()
        .map(|done| Smoke {
            class: if done.passed { "good" } else { "bad" },
            word: if done.passed { "passed" } else { "failed" },
            service: done.service.clone(),
            name: done.name.clone(),
            request: done.request.clone(),
            status: done.status.map_or_else(String::new, |status| status.to_string()),
            took: duration(done.duration_ms),
            complaints: done.complaints.clone(),
        })
        .collect()
}
