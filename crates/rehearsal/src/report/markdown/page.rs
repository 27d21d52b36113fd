//! The page: verdict, table, what changed, and all the rest folded.

use super::escape::{block, cell, code, sentence};
use super::{changes, details};
use crate::event::Outcome;
use crate::record::Record;
use crate::report::format::{duration, plural};

/// What fits into a comment on a pull request: GitHub takes 65,536 characters, and whoever puts it there adds a
/// few of their own.
pub const COMMENT: usize = 60_000;

/// Kept free for what is said at the end where not all of it fits.
const POINTER: usize = 500;

/// A part that opens when somebody wants to see it.
pub(super) struct Folded {
    /// What there is to see.
    pub title: String,
    /// Whether it is open from the beginning.
    pub open: bool,
    /// Its lines; a table can end behind each of them.
    pub lines: Vec<String>,
}

/// The Markdown of a run, of at most `most` bytes. `earlier` is what it is compared with.
#[must_use]
pub fn render(record: &Record, earlier: Option<&Record>, most: usize) -> String {
    let mut text = head(record);
    if let Some(earlier) = earlier {
        text.push_str(&changes::since(earlier, record));
    }
    let environment = folded(&details::environment(record));
    let room = most.saturating_sub(environment.len() + POINTER);
    let parts: Vec<Folded> = record.steps.iter().filter_map(details::of).collect();
    let mut left_out = 0;
    for mut part in parts {
        if left_out == 0 && text.len() + folded(&part).len() <= room {
            text.push_str(&folded(&part));
            continue;
        }
        let all = part.lines.len();
        if left_out == 0 {
            shorten(&mut part, room.saturating_sub(text.len()));
            if !part.lines.is_empty() {
                text.push_str(&folded(&part));
                left_out += all - part.lines.len();
                continue;
            }
        }
        left_out += all;
    }
    if left_out > 0 {
        let run = code(&record.run.run_id);
        text.push_str(&format!(
            "**{} more did not fit here.** All of it is in the record {run}; `cargo xtask report` makes a page of it.\n\n",
            plural(left_out as u64, "line")
        ));
    }
    text.push_str(&environment);
    text
}

/// Leaves the lines that fit.
fn shorten(part: &mut Folded, room: usize) {
    let mut left =
        room.saturating_sub(folded(&Folded { title: part.title.clone(), open: true, lines: Vec::new() }).len());
    let fitting = part.lines.iter().take_while(|line| {
        let fits = line.len() < left;
        left = left.saturating_sub(line.len() + 1);
        fits
    });
    let fitting = fitting.count();
    part.lines.truncate(fitting);
}

fn folded(part: &Folded) -> String {
    let open = if part.open { " open" } else { "" };
    // Markdown begins again behind an empty line.
    format!(
        "<details{open}><summary>{}</summary>\n\n{}\n\n</details>\n\n",
        part.title,
        part.lines.join("\n").trim_start()
    )
}

fn head(record: &Record) -> String {
    let run = &record.run;
    let release = run.release.as_ref().map_or_else(String::new, |release| format!(" of {}", cell(release)));
    let (mark, outcome) = (mark(record.outcome), record.outcome.map_or("did not end", Outcome::as_str));
    let mut text = format!("# {mark} {}{release}: {outcome}\n\n", cell(&run.command));
    let ended = record.steps.iter().filter(|step| step.outcome.is_some()).count();
    let took = record.duration_ms.map_or_else(String::new, |took| format!(" in {}", duration(took)));
    let steps = plural(run.steps.len() as u64, "step");
    text.push_str(&format!("{}: {ended} of {steps}{took}\n\n", cell(&run.target)));
    if let Some(error) = &record.error {
        text.push_str(&format!("**{}**\n\n", sentence(&error.message)));
        if let Some(excerpt) = &error.excerpt {
            text.push_str(&format!("{}\n\n", block(excerpt)));
        }
        if let Some(hint) = &error.hint {
            text.push_str(&format!("What to do: {}\n\n", sentence(hint)));
        }
    }
    text.push_str(&steps_table(record));
    if let Some(next) = &record.next {
        text.push_str(&format!("Next: {}\n\n", code(next)));
    }
    text
}

fn steps_table(record: &Record) -> String {
    let is_planned = record.run.steps.iter().any(|step| step.planned_ms.is_some());
    let beside = |text: &str| if is_planned { format!(" {text} |") } else { String::new() };
    let mut text = format!("| step | outcome | time |{} figure |\n", beside("rehearsed"));
    text.push_str(&format!("|---|---|---:|{}---|\n", if is_planned { "---:|" } else { "" }));
    for step in &record.steps {
        let planned = record.run.steps.get(step.index).and_then(|step| step.planned_ms);
        text.push_str(&format!(
            "| {} | {} {} | {} |{} {} |\n",
            cell(&step.name),
            mark(step.outcome),
            step.outcome.map_or("did not end", Outcome::as_str),
            step.duration_ms.map_or_else(String::new, duration),
            beside(&planned.map_or_else(String::new, duration)),
            cell(&step.summary)
        ));
    }
    text.push('\n');
    text
}

const fn mark(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Done) => "✓",
        Some(Outcome::Warned) => "!",
        Some(Outcome::Skipped) => "–",
        Some(Outcome::Failed | Outcome::Refused | Outcome::Interrupted) | None => "✗",
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::{Value, json};

    use super::*;

    /// A rehearsal of that many statements.
    fn rehearsal(name: &str, statements: u64, change: impl FnOnce(&mut Value)) -> Record {
        let statement = |number: u64| {
            json!({
                "version": number / 4 + 1, "direction": "up", "number": number % 4 + 1, "line": 7, "class": "batched",
                "summary": format!("UPDATE \"<t> | {number}\" SET a = '`x`' WHERE /* batch: t.id */ TRUE"), "rows": 5_000,
                "batches": 20, "longest_batch_ms": 90, "retries": 0, "duration_ms": 1_000, "already_done": false,
            })
        };
        let check = |name: &str, outcome: &str, found: &str| {
            json!({
                "name": name, "expectation": "no-rows", "severity": "error", "outcome": outcome, "found": found,
                "digest": null, "before": null, "duration_ms": 3, "place": "migrations/checks/a.sql:1",
            })
        };
        let mut record = json!({
            "format": 1,
            "run": {
                "run_id": name, "command": "rehearse", "target": "a fresh sandbox", "release": "R2", "tool": "0.1.0",
                "commit": "abc", "migrations": [
                    { "version": 1, "up": "a", "down": "b" }, { "version": 2, "up": "c", "down": null },
                ],
                "steps": [{ "name": "migrate", "title": "t" }, { "name": "verify", "title": "t" }],
            },
            "started_at": "2026-01-02T03:04:05Z", "duration_ms": 61_000, "outcome": "done", "exit_code": 0,
            "error": null, "next": "cargo xtask rehearse --target staging", "databases": [], "sandbox": null,
            "steps": [
                {
                    "index": 0, "name": "migrate", "started_at": "2026-01-02T03:04:05Z", "duration_ms": 60_000,
                    "outcome": "done", "summary": "2 migrations applied",
                    "statements": (0..statements).map(statement).collect::<Vec<_>>(),
                    "locks": [{
                        "version": 1, "direction": "up", "rewritten": [], "locks": [
                            { "relation": "public.t", "mode": "ShareLock", "longest_ms": 40, "waiting": 0 },
                        ],
                    }],
                },
                {
                    "index": 1, "name": "verify", "started_at": "2026-01-02T03:05:05Z", "duration_ms": 5,
                    "outcome": "done", "summary": "2 checks passed",
                    "checks": [check("nobody-left", "passed", "0 rows"), check("all-there", "passed", "0 rows")],
                },
            ],
        });
        change(&mut record);
        serde_json::from_value(record).expect("a record")
    }

    #[test]
    fn what_changed_since_the_rehearsal_before() {
        let before = rehearsal("20260101-rehearse-a", 6, |_| {});
        let now = rehearsal("20260102-rehearse-b", 6, |record| {
            record["outcome"] = "refused".into();
            record["error"] = json!({
                "message": "1 of 2 checks failed: nobody-left", "hint": "look at @everybody", "excerpt": "1 | SELECT ```",
            });
            record["next"] = Value::Null;
            record["run"]["migrations"][1]["up"] = "d".into();
            record["steps"][0]["statements"][0]["rows"] = 7.into();
            record["steps"][0]["statements"][5]["duration_ms"] = 9_000.into();
            record["steps"][0]["locks"][0]["locks"][0]["longest_ms"] = 400.into();
            record["steps"][1]["checks"][0]["outcome"] = "failed".into();
            record["steps"][1]["checks"][0]["found"] = "<i>3</i> | 4".into();
            record["steps"][1]["outcome"] = "refused".into();
        });
        assert_snapshot!(render(&now, Some(&before), COMMENT));
    }

    #[test]
    fn what_is_as_before_is_said_to_be() {
        let before = rehearsal("20260101-rehearse-a", 6, |_| {});
        let now = rehearsal("20260102-rehearse-b", 6, |record| {
            // As much as comes by chance.
            record["steps"][0]["statements"][5]["duration_ms"] = 1_150.into();
            record["steps"][0]["locks"] = json!([]);
        });
        let text = render(&now, Some(&before), COMMENT);
        assert!(text.contains("Files, rows, locks and checks are as they were."), "{text}");
    }

    #[test]
    fn a_huge_record_is_cut_and_says_where_the_rest_is() {
        let record = rehearsal("20260101-rehearse-a", 5_000, |_| {});
        for most in [2_000, COMMENT, 400_000] {
            let text = render(&record, None, most);
            assert!(text.len() <= most && text.len() > most - 1_000, "{} of {most} bytes", text.len());
            assert!(text.contains("did not fit here.** All of it is in the record `20260101-rehearse-a`"), "{text}");
            assert_eq!(text.matches("<details").count(), text.matches("</details>").count());
            assert!(text.contains("<summary>Environment</summary>"));
        }
        let whole = render(&record, None, usize::MAX);
        assert!(!whole.contains("did not fit") && whole.contains("4999"), "{} bytes", whole.len());
    }
}
