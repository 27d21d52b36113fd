//! The steps as a table that is a timeline as well.

use serde::Serialize;

use crate::event::Outcome;
use crate::record::Record;
use crate::report::format::duration;

/// The width of the timeline in its own units.
const WIDTH: u64 = 1_000;

/// The least width of a bar in them: it must be seen.
const LEAST: u64 = 4;

/// A step.
#[derive(Serialize)]
pub(super) struct StepRow {
    number: usize,
    name: String,
    title: String,
    summary: String,
    /// `good`, `look`, `bad` or `none`.
    class: &'static str,
    outcome: &'static str,
    took: String,
    planned: String,
    bar: Option<Bar>,
}

/// Where a bar begins and how wide it is.
#[derive(Serialize)]
pub(super) struct Bar {
    x: u64,
    width: u64,
}

/// The class of an outcome.
pub(super) fn class(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Done) => "good",
        Some(Outcome::Skipped) => "none",
        Some(Outcome::Warned) => "look",
        Some(Outcome::Failed | Outcome::Refused | Outcome::Interrupted) | None => "bad",
    }
}

/// All that were announced, those as well that the run did not come to.
pub(super) fn rows(record: &Record) -> Vec<StepRow> {
    let offset = |at: chrono::DateTime<chrono::Utc>| {
        u64::try_from((at - record.started_at).num_milliseconds()).unwrap_or_default()
    };
    let ends =
        record.steps.iter().map(|step| offset(step.started_at).saturating_add(step.duration_ms.unwrap_or_default()));
    let whole = ends.chain(record.duration_ms).max().unwrap_or_default().max(1);
    let announced = record.run.steps.iter().enumerate();
    announced
        .map(|(index, step)| {
            let done = record.steps.iter().find(|done| done.index == index);
            let bar = done.map(|done| {
                let x = (offset(done.started_at).saturating_mul(WIDTH) / whole).min(WIDTH - LEAST);
                let width = done.duration_ms.unwrap_or_default().saturating_mul(WIDTH) / whole;
                Bar { x, width: width.clamp(LEAST, WIDTH - x) }
            });
            let ended = done.and_then(|done| done.outcome);
            StepRow {
                number: index + 1,
                name: step.name.clone(),
                title: step.title.clone(),
                summary: done.map_or_else(String::new, |done| done.summary.clone()),
                class: if done.is_some() { class(ended) } else { "none" },
                outcome: match (done, ended) {
                    (None, _) => "not begun",
                    (Some(_), None) => "did not end",
                    (Some(_), Some(outcome)) => outcome.as_str(),
                },
                took: done.and_then(|done| done.duration_ms).map_or_else(String::new, duration),
                planned: step.planned_ms.map_or_else(String::new, duration),
                bar,
            }
        })
        .collect()
}
