//! A record as Markdown, for pull requests and job summaries.

use std::fmt::Write;

use super::format::{bytes, count, duration, milliseconds_of, shortened};
use crate::event::{CheckOutcome, Level, Paused};
use crate::record::{Record, StepRecord};

/// How much of a cell is shown.
const CELL: usize = 160;

/// The summary of a run.
#[must_use]
pub fn render(record: &Record) -> String {
    let mut text = String::new();
    let outcome = record.outcome.map_or("did not end", |outcome| outcome.as_str());
    line(&mut text, format!("# {} of {}: {outcome}", record.run.command, cell(&record.run.target)));
    line(&mut text, "");
    if let Some(error) = &record.error {
        line(&mut text, format!("**{}**", cell(&error.message)));
        line(&mut text, "");
        if let Some(excerpt) = &error.excerpt {
            line(&mut text, format!("```text\n{excerpt}\n```\n"));
        }
        if let Some(hint) = &error.hint {
            line(&mut text, format!("What to do: {}", cell(hint)));
            line(&mut text, "");
        }
    }
    let is_planned = record.run.steps.iter().any(|step| step.planned_ms.is_some());
    let beside = |text: &str| if is_planned { format!(" {text} |") } else { String::new() };
    line(&mut text, format!("| step | outcome | time |{} figure |", beside("rehearsed")));
    line(&mut text, format!("|---|---|---:|{}---|", if is_planned { "---:|" } else { "" }));
    for step in &record.steps {
        let planned = record.run.steps.get(step.index).and_then(|step| step.planned_ms);
        line(
            &mut text,
            format!(
                "| {} | {} | {} |{} {} |",
                step.name,
                step.outcome.map_or("did not end", |outcome| outcome.as_str()),
                step.duration_ms.map_or_else(String::new, duration),
                beside(&planned.map_or_else(String::new, duration)),
                cell(&step.summary)
            ),
        );
    }
    line(&mut text, "");
    for step in &record.steps {
        details(&mut text, step);
    }
    environment(&mut text, record);
    text
}

fn details(text: &mut String, step: &StepRecord) {
    if step.statements.is_empty()
        && step.notices.is_empty()
        && step.checks.is_empty()
        && step.smoke.is_empty()
        && step.hook.is_none()
        && step.answers.is_empty()
        && step.notes.is_empty()
        && step.backup.is_none()
        && step.losses.is_empty()
        && step.figures.is_empty()
        && step.locks.is_empty()
        && step.traffic.is_empty()
    {
        return;
    }
    line(text, format!("## {}", step.name));
    line(text, "");
    for (level, note) in &step.notes {
        let mark = if *level == Level::Warn { "**look at this:** " } else { "" };
        line(text, format!("- {mark}{}", cell(note)));
    }
    for (what, amount) in &step.losses {
        line(text, format!("- loses: {}: {}", cell(what), cell(amount)));
    }
    for (name, value) in &step.figures {
        line(text, format!("- {}: {}", cell(name), cell(value)));
    }
    if let Some(backup) = &step.backup {
        line(
            text,
            format!(
                "- backup `{}`: {} in {} tables, {} rows; dumped in {}, {} in {}",
                backup.path,
                bytes(backup.bytes),
                backup.tables,
                count(backup.rows),
                duration(backup.dump_ms),
                backup.proof.as_ref().map_or_else(|| "proven".into(), |proof| cell(&proof.to_string())),
                duration(backup.proof_ms)
            ),
        );
    }
    hook(text, step);
    answers(text, step);
    if !step.statements.is_empty() {
        line(text, "");
        line(text, "| version | line | class | rows | time | statement |");
        line(text, "|---:|---:|---|---:|---:|---|");
        for done in &step.statements {
            let batches = done.batches.map_or_else(String::new, |batches| {
                let longest = duration(done.longest_batch_ms.unwrap_or_default());
                let paused =
                    |paused: &Paused| format!(", paused {} {}", duration(paused.duration_ms), paused.reason.as_str());
                let pauses: String = done.pauses.iter().map(paused).collect();
                format!(", {batches} batches, the longest {longest}{pauses}")
            });
            line(
                text,
                format!(
                    "| {} {} | {} | {}{batches} | {} | {} | `{}` |",
                    done.version,
                    done.direction.as_str(),
                    done.line,
                    done.class,
                    count(done.rows),
                    duration(done.duration_ms),
                    cell(&done.summary).replace('`', "'")
                ),
            );
        }
    }
    for heard in &step.notices {
        let (place, severity) = (format_args!("{}:{}", heard.version, heard.line), heard.notice.severity.as_str());
        line(text, format!("- {place} {severity}: {}", cell(&heard.notice.text)));
    }
    locks(text, step);
    traffic(text, step);
    if !step.checks.is_empty() {
        line(text, "");
        line(text, "| check | expected | outcome | found | before |");
        line(text, "|---|---|---|---|---|");
        for check in &step.checks {
            let outcome = match check.outcome {
                CheckOutcome::Passed => "passed",
                CheckOutcome::Failed => "**failed**",
                CheckOutcome::NotJudged => "not judged",
                CheckOutcome::Reported => "",
            };
            line(
                text,
                format!(
                    "| {} | {} | {outcome} | {} | {} |",
                    cell(&check.name),
                    cell(&check.expectation.to_string()),
                    cell(&check.found),
                    check.before.as_deref().map_or_else(String::new, cell)
                ),
            );
        }
    }
    if !step.smoke.is_empty() {
        line(text, "");
        line(text, "| service | smoke test | request | status | time | outcome |");
        line(text, "|---|---|---|---:|---:|---|");
        for smoke in &step.smoke {
            let outcome = if smoke.passed {
                "passed".into()
            } else {
                format!("**failed**: {}", cell(&smoke.complaints.join("; ")))
            };
            line(
                text,
                format!(
                    "| {} | {} | `{}` | {} | {} | {outcome} |",
                    cell(&smoke.service),
                    cell(&smoke.name),
                    cell(&smoke.request).replace('`', "'"),
                    smoke.status.map_or_else(String::new, |status| status.to_string()),
                    duration(smoke.duration_ms)
                ),
            );
        }
    }
    line(text, "");
}

fn hook(text: &mut String, step: &StepRecord) {
    let Some(hook) = &step.hook else { return };
    let (name, command) = (cell(&hook.name), cell(&hook.command).replace('`', "'"));
    line(text, format!("- hook {name} ({}): `{command}` — {}", hook.when.as_str(), cell(&hook.ending)));
    if hook.more {
        line(text, "  - … (it wrote more)");
    }
    for written in &hook.output {
        line(text, format!("  - `{}`", cell(written).replace('`', "'")));
    }
}

fn answers(text: &mut String, step: &StepRecord) {
    if step.answers.is_empty() {
        return;
    }
    line(text, "");
    line(text, "| question | answer | by | when |");
    line(text, "|---|---|---|---|");
    for answer in &step.answers {
        let yes = if answer.yes { "yes" } else { "no" };
        let (ask, by, at) = (cell(&answer.ask), cell(&answer.by), answer.at.format("%Y-%m-%d %H:%M:%S UTC"));
        line(text, format!("| {ask} | {yes} | {by} | {at} |"));
    }
}

fn locks(text: &mut String, step: &StepRecord) {
    if step.locks.is_empty() {
        return;
    }
    line(text, "");
    line(text, "| version | lock | relation | longest | waiting | |");
    line(text, "|---:|---|---|---:|---:|---|");
    for file in &step.locks {
        let version = format!("{} {}", file.version, file.direction.as_str());
        for lock in &file.locks {
            let (relation, longest) = (cell(&lock.relation), duration(lock.longest_ms));
            line(text, format!("| {version} | {} | {relation} | {longest} | {} | |", lock.mode, lock.waiting));
        }
        for table in &file.rewritten {
            line(text, format!("| {version} | | {} | | | every row was written anew |", cell(table)));
        }
    }
}

fn traffic(text: &mut String, step: &StepRecord) {
    if step.traffic.is_empty() {
        return;
    }
    line(text, "");
    line(text, "| clients | code | runs | failed | median | 99 % | longest |");
    line(text, "|---|---|---:|---:|---:|---:|---:|");
    for done in &step.traffic {
        line(
            text,
            format!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                cell(&done.name),
                done.code.as_str(),
                count(done.runs),
                count(done.errors),
                milliseconds_of(done.median_us),
                milliseconds_of(done.most_us),
                milliseconds_of(done.longest_us)
            ),
        );
    }
}

fn environment(text: &mut String, record: &Record) {
    line(text, "## Environment");
    line(text, "");
    line(text, format!("- run `{}`, begun {}", record.run.run_id, record.started_at.format("%Y-%m-%d %H:%M:%S UTC")));
    line(
        text,
        format!("- rehearsal {}, commit {}", record.run.tool, record.run.commit.as_deref().unwrap_or("unknown")),
    );
    for database in &record.databases {
        line(text, format!("- {}: {} on PostgreSQL {}", database.target, cell(&database.address), database.server));
    }
    if let Some(sandbox) = &record.sandbox {
        line(
            text,
            format!(
                "- sandbox: {}, PostgreSQL {}, started in {}",
                sandbox.provider,
                sandbox.server,
                duration(sandbox.duration_ms)
            ),
        );
        for reason in &sandbox.reasons {
            line(text, format!("  - not {}", cell(reason)));
        }
    }
}

fn line(text: &mut String, content: impl std::fmt::Display) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{content}");
}

/// What comes from a database may hold anything: it must neither end a cell nor open markup.
fn cell(text: &str) -> String {
    shortened(text, CELL).replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('>', "&gt;")
}
