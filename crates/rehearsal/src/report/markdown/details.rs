//! What a step did, to be unfolded.

use super::escape::{cell, code};
use super::page::Folded;
use crate::event::{CheckOutcome, Level, Outcome, Paused, StatementDone};
use crate::record::{Record, StepRecord};
use crate::report::format::{bytes, count, duration, milliseconds_of, plural};

/// How many lines of an object stand here; the record has more.
const SCHEMA_LINES: usize = 6;

/// The part of a step; nothing where there is no more to it than the table says.
pub(super) fn of(step: &StepRecord) -> Option<Folded> {
    let mut lines = Vec::new();
    for (level, note) in &step.notes {
        let mark = if *level == Level::Warn { "**look at this:** " } else { "" };
        lines.push(format!("- {mark}{}", cell(note)));
    }
    for (what, amount) in &step.losses {
        lines.push(format!("- loses: {}: {}", cell(what), cell(amount)));
    }
    for (name, value) in &step.figures {
        lines.push(format!("- {}: {}", cell(name), cell(value)));
    }
    backup(&mut lines, step);
    hook(&mut lines, step);
    answers(&mut lines, step);
    findings(&mut lines, step);
    statements(&mut lines, step);
    notices(&mut lines, step);
    locks(&mut lines, step);
    schema(&mut lines, step);
    traffic(&mut lines, step);
    checks(&mut lines, step);
    smoke(&mut lines, step);
    let open = matches!(step.outcome, Some(Outcome::Failed | Outcome::Refused) | None);
    (!lines.is_empty()).then(|| Folded { title: title(step), open, lines })
}

fn title(step: &StepRecord) -> String {
    let failed = step.checks.iter().filter(|check| check.outcome == CheckOutcome::Failed).count() as u64;
    let parts = [
        (step.statements.len() as u64, "statement"),
        (step.checks.len() as u64, "check"),
        (failed, "failed check"),
        (step.smoke.len() as u64, "smoke test"),
        (step.findings.len() as u64, "finding"),
        (step.schema.len() as u64, "schema change"),
    ];
    let counts: Vec<String> =
        parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| plural(number, what)).collect();
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    format!("{}{counts}", cell(&step.name))
}

/// Opens a table: its head belongs together.
fn table(lines: &mut Vec<String>, head: &str) {
    lines.push(format!("\n{head}"));
}

fn backup(lines: &mut Vec<String>, step: &StepRecord) {
    let Some(backup) = &step.backup else { return };
    lines.push(format!(
        "- backup {}: {} in {} tables, {} rows; dumped in {}, {} in {}",
        code(&backup.path),
        bytes(backup.bytes),
        backup.tables,
        count(backup.rows),
        duration(backup.dump_ms),
        backup.proof.as_ref().map_or_else(|| "proven".into(), |proof| cell(&proof.to_string())),
        duration(backup.proof_ms)
    ));
}

fn hook(lines: &mut Vec<String>, step: &StepRecord) {
    let Some(hook) = &step.hook else { return };
    let (name, command) = (cell(&hook.name), code(&hook.command));
    lines.push(format!("- hook {name} ({}): {command} — {}", hook.when.as_str(), cell(&hook.ending)));
    if hook.more {
        lines.push("  - … (it wrote more)".into());
    }
    lines.extend(hook.output.iter().map(|written| format!("  - {}", code(written))));
}

fn answers(lines: &mut Vec<String>, step: &StepRecord) {
    if step.answers.is_empty() {
        return;
    }
    table(lines, "| question | answer | by | when |\n|---|---|---|---|");
    lines.extend(step.answers.iter().map(|answer| {
        let yes = if answer.yes { "yes" } else { "no" };
        let (ask, by, at) = (cell(&answer.ask), cell(&answer.by), answer.at.format("%Y-%m-%d %H:%M:%S UTC"));
        format!("| {ask} | {yes} | {by} | {at} |")
    }));
}

fn schema(lines: &mut Vec<String>, step: &StepRecord) {
    if step.schema.is_empty() {
        return;
    }
    table(lines, "| schema | object | lines |\n|---|---|---|");
    lines.extend(step.schema.iter().map(|change| {
        let mut parts: Vec<String> = change.lines.iter().take(SCHEMA_LINES).map(|line| code(line)).collect();
        let more = change.lines.len() + change.left_out - parts.len();
        if more > 0 {
            parts.push(format!("… and {more} more"));
        }
        format!("| {} | {} | {} |", change.became.as_str(), code(&change.object), parts.join("<br>"))
    }));
}

fn findings(lines: &mut Vec<String>, step: &StepRecord) {
    if step.findings.is_empty() {
        return;
    }
    table(lines, "| place | rule of the linter | what it says |\n|---|---|---|");
    lines.extend(step.findings.iter().map(|finding| {
        let place = format!("{}:{}", finding.place.path.display(), finding.place.line);
        format!("| {} | {} | {} |", code(&place), cell(&finding.rule), cell(&finding.message))
    }));
}

fn statements(lines: &mut Vec<String>, step: &StepRecord) {
    if step.statements.is_empty() {
        return;
    }
    table(lines, "| version | line | class | rows | time | statement |\n|---:|---:|---|---:|---:|---|");
    lines.extend(step.statements.iter().map(|done| {
        format!(
            "| {} {} | {} | {} | {}{} | {} | {} |",
            done.version,
            done.direction.as_str(),
            done.line,
            done.class,
            count(done.rows),
            batches(done),
            duration(done.duration_ms),
            code(&done.summary)
        )
    }));
}

fn batches(done: &StatementDone) -> String {
    done.batches.map_or_else(String::new, |batches| {
        let longest = duration(done.longest_batch_ms.unwrap_or_default());
        let paused = |paused: &Paused| format!(", paused {} {}", duration(paused.duration_ms), paused.reason.as_str());
        let pauses: String = done.pauses.iter().map(paused).collect();
        format!(", {batches} batches, the longest {longest}{pauses}")
    })
}

fn notices(lines: &mut Vec<String>, step: &StepRecord) {
    if step.notices.is_empty() {
        return;
    }
    // Behind a table a list needs a line of its own.
    lines.push(String::new());
    lines.extend(step.notices.iter().map(|heard| {
        let severity = heard.notice.severity.as_str();
        format!("- {}:{} {severity}: {}", heard.version, heard.line, cell(&heard.notice.text))
    }));
}

fn locks(lines: &mut Vec<String>, step: &StepRecord) {
    if step.locks.is_empty() {
        return;
    }
    table(lines, "| version | lock | relation | longest | waiting | |\n|---:|---|---|---:|---:|---|");
    for file in &step.locks {
        let version = format!("{} {}", file.version, file.direction.as_str());
        lines.extend(file.locks.iter().map(|lock| {
            let (mode, relation, longest) = (cell(&lock.mode), cell(&lock.relation), duration(lock.longest_ms));
            format!("| {version} | {mode} | {relation} | {longest} | {} | |", lock.waiting)
        }));
        lines.extend(
            file.rewritten
                .iter()
                .map(|table| format!("| {version} | | {} | | | every row was written anew |", cell(table))),
        );
    }
}

fn traffic(lines: &mut Vec<String>, step: &StepRecord) {
    if step.traffic.is_empty() {
        return;
    }
    table(lines, "| clients | code | runs | failed | median | 99 % | longest |\n|---|---|---:|---:|---:|---:|---:|");
    lines.extend(step.traffic.iter().map(|done| {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            cell(&done.name),
            done.code.as_str(),
            count(done.runs),
            count(done.errors),
            milliseconds_of(done.median_us),
            milliseconds_of(done.most_us),
            milliseconds_of(done.longest_us)
        )
    }));
}

fn checks(lines: &mut Vec<String>, step: &StepRecord) {
    if step.checks.is_empty() {
        return;
    }
    table(lines, "| check | expected | outcome | found | before |\n|---|---|---|---|---|");
    lines.extend(step.checks.iter().map(|check| {
        let outcome = match check.outcome {
            CheckOutcome::Passed => "passed",
            CheckOutcome::Failed => "**failed**",
            CheckOutcome::NotJudged => "not judged",
            CheckOutcome::Reported => "",
        };
        format!(
            "| {} | {} | {outcome} | {} | {} |",
            cell(&check.name),
            cell(&check.expectation.to_string()),
            cell(&check.found),
            check.before.as_deref().map_or_else(String::new, cell)
        )
    }));
}

fn smoke(lines: &mut Vec<String>, step: &StepRecord) {
    if step.smoke.is_empty() {
        return;
    }
    table(lines, "| service | smoke test | request | status | time | outcome |\n|---|---|---|---:|---:|---|");
    lines.extend(step.smoke.iter().map(|smoke| {
        let outcome = match smoke.passed {
            true => "passed".into(),
            false => format!("**failed**: {}", cell(&smoke.complaints.join("; "))),
        };
        format!(
            "| {} | {} | {} | {} | {} | {outcome} |",
            cell(&smoke.service),
            cell(&smoke.name),
            code(&smoke.request),
            smoke.status.map_or_else(String::new, |status| status.to_string()),
            duration(smoke.duration_ms)
        )
    }));
}

/// By what it was run.
pub(super) fn environment(record: &Record) -> Folded {
    let run = &record.run;
    let mut lines = vec![
        format!("- run {}, begun {}", code(&run.run_id), record.started_at.format("%Y-%m-%d %H:%M:%S UTC")),
        format!("- rehearsal {}, commit {}", cell(&run.tool), cell(run.commit.as_deref().unwrap_or("unknown"))),
    ];
    lines.extend(record.databases.iter().map(|database| {
        let (target, address) = (cell(&database.target), cell(&database.address));
        format!("- {target}: {address} on PostgreSQL {}", database.server)
    }));
    if let Some(sandbox) = &record.sandbox {
        let (provider, started) = (cell(&sandbox.provider), duration(sandbox.duration_ms));
        lines.push(format!("- sandbox: {provider}, PostgreSQL {}, started in {started}", sandbox.server));
        lines.extend(sandbox.reasons.iter().map(|reason| format!("  - not {}", cell(reason))));
    }
    Folded { title: "Environment".into(), open: false, lines }
}
