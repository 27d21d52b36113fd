//! The page: a view of the record for the template, which does nothing but lay it out.

use std::io;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;

use super::backfills::{self, Backfill};
use super::checks::{self, Checks};
use super::clients::{self, Client};
use super::facts::{self, Fact};
use super::locks::{self, Locks};
use super::schema::{self, Seen};
use super::statements::{self, Section};
use super::steps::{self, StepRow};
use super::way_back::{self, WayBack};
use crate::event::{ErrorText, Outcome};
use crate::record::Record;
use crate::report::format::{duration, plural};

/// Its ending makes the engine escape whatever is filled in.
const NAME: &str = "report.html";

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// All that the template shows.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    verdict: Verdict,
    error: Option<&'a ErrorText>,
    next: Option<&'a str>,
    facts: Vec<Fact>,
    steps: Vec<StepRow>,
    way_back: WayBack,
    checks: Checks,
    locks: Locks,
    schema: Vec<Seen<'a>>,
    backfills: Vec<Backfill>,
    clients: Vec<Client>,
    sections: Vec<Section>,
    environment: Vec<Fact>,
    migrations: &'a [crate::event::MigrationDigest],
    run_id: &'a str,
}

/// What the run says as a whole. Its colour never says it alone.
#[derive(Serialize)]
struct Verdict {
    /// `good`, `look` or `bad`.
    class: &'static str,
    mark: &'static str,
    word: &'static str,
    sentence: String,
}

/// The whole page.
///
/// # Errors
/// A record that cannot be written as JSON; both are faults of this program.
pub fn render(record: &Record) -> io::Result<String> {
    let page = Page {
        title: title(record),
        verdict: verdict(record),
        error: record.error.as_ref(),
        next: record.next.as_deref(),
        facts: facts::of(record),
        steps: steps::rows(record),
        way_back: way_back::of(record),
        checks: checks::table(record),
        locks: locks::of(record),
        schema: schema::of(record),
        backfills: backfills::of(record),
        clients: clients::of(record),
        sections: statements::sections(record),
        environment: facts::environment(record),
        migrations: &record.run.migrations,
        run_id: &record.run.run_id,
    };
    // By way of a value, as `json` explains.
    let raw = inert(&serde_json::to_value(record)?.to_string());
    let mut engine = Environment::new();
    engine.add_template(NAME, TEMPLATE).map_err(io::Error::other)?;
    let template = engine.get_template(NAME).map_err(io::Error::other)?;
    template
        .render(context! { page => Value::from(Serde(&page)), style => STYLE, script => SCRIPT, raw })
        .map_err(io::Error::other)
}

fn title(record: &Record) -> String {
    let release = record.run.release.as_ref().map_or_else(String::new, |release| format!(" of {release}"));
    format!("{}{release}: {}", record.run.command, record.run.target)
}

fn verdict(record: &Record) -> Verdict {
    let (class, mark, word) = match record.outcome {
        Some(Outcome::Done) => ("good", "✓", "done"),
        Some(Outcome::Skipped) => ("good", "–", "nothing to do"),
        Some(Outcome::Warned) => ("look", "!", "done, with something to look at"),
        Some(outcome) => ("bad", "✗", outcome.as_str()),
        None => ("bad", "✗", "did not end"),
    };
    let ended = record.steps.iter().filter(|step| step.outcome.is_some()).count();
    let mut sentence = format!("{ended} of {}", plural(record.run.steps.len() as u64, "step"));
    if let Some(took) = record.duration_ms {
        sentence.push_str(&format!(" in {}", duration(took)));
    }
    sentence.push_str(&format!(", begun {}", record.started_at.format("%Y-%m-%d %H:%M:%S UTC")));
    Verdict { class, mark, word, sentence }
}

/// JSON that may stand in a `script` element: nothing in it opens or closes one.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What a browser opens at once, on a phone as well.
    const LARGEST: usize = 3 << 20;

    fn record(migrations: i64, statements: i64) -> Record {
        let digest = |version| json!({ "version": version, "up": "a".repeat(96), "down": "b".repeat(96) });
        // One of ten walks over a large table.
        let course = |number: i64| 0..if number % 10 == 0 { 20 } else { 0 };
        let statement = |number: i64| {
            json!({
                "version": number / 4 + 1, "direction": "up", "number": number % 4 + 1, "line": number % 40 + 1,
                "class": "batched", "summary": format!("UPDATE \"<table> {number}\" SET a = 'x & y' WHERE /* batch: t.id */ TRUE"),
                "rows": 5_000, "batches": 20, "longest_batch_ms": 90, "retries": 0, "duration_ms": number + 1,
                "already_done": false,
                "course": course(number).map(|slice| json!({ "until_ms": slice * 10, "rows": 250, "longest_ms": slice })).collect::<Vec<_>>(),
            })
        };
        let locks = |version: i64| {
            json!({
                "version": version, "direction": "up", "rewritten": [],
                "locks": [{ "relation": "public.\"<b>\"", "mode": "AccessExclusiveLock", "longest_ms": version, "waiting": 1 }],
            })
        };
        serde_json::from_value(json!({
            "format": 1,
            "run": {
                "run_id": "r", "command": "rehearse", "target": "a & b", "release": "<R>", "tool": "0.1.0", "commit": null,
                "migrations": (1..=migrations).map(digest).collect::<Vec<_>>(),
                "steps": [{ "name": "migrate", "title": "t", "planned_ms": 1_000 }, { "name": "verify", "title": "t" }],
            },
            "started_at": "2026-01-01T00:00:00Z", "duration_ms": 60_000, "outcome": "failed", "exit_code": 1,
            "error": { "message": "<script>", "excerpt": "1 | SELECT 1 < 2", "hint": "mend \"it\"" }, "next": null,
            "databases": [], "sandbox": null,
            "steps": [{
                "index": 0, "name": "migrate", "started_at": "2026-01-01T00:00:00Z", "duration_ms": 1_000,
                "outcome": "failed", "summary": "<i>", "statements": (0..statements).map(statement).collect::<Vec<_>>(),
                "locks": (1..=migrations).map(locks).collect::<Vec<_>>(),
            }],
        }))
        .expect("a record")
    }

    #[test]
    fn a_huge_record_stays_small() {
        let html = render(&record(500, 2_000)).expect("it is laid out");
        assert!(html.len() <= LARGEST, "{} bytes", html.len());
        assert!(html.contains("&lt;table&gt; 1999&quot;"), "the last one is there");
    }

    #[test]
    fn whatever_it_holds_is_text() {
        let html = render(&record(2, 3)).expect("it is laid out");
        let (page, rest) = html.split_once("<script type=\"application/json\"").expect("the record");
        for (inside, outside) in [("&lt;script&gt;", "<strong><script>"), ("&lt;R&gt;", "<R>"), ("&lt;i&gt;", "<i>")] {
            assert!(page.contains(inside) && !page.contains(outside), "{outside}");
        }
        assert!(page.contains("1 of 2 steps") && page.contains("not begun") && page.contains("failed"));
        assert!(page.contains("AccessExclusiveLock") && page.contains("rows a second"));
        // One end for the record, and one for the page's own script.
        assert_eq!(rest.matches("</script>").count(), 2);
    }

    /// A run that was killed leaves a record without an end.
    #[test]
    fn one_that_did_not_end_is_laid_out() {
        let mut unfinished = record(1, 1);
        (unfinished.outcome, unfinished.duration_ms, unfinished.error) = (None, None, None);
        for step in &mut unfinished.steps {
            (step.outcome, step.duration_ms) = (None, None);
        }
        assert!(render(&unfinished).expect("it is laid out").contains("did not end"));
    }
}
