//! How fast batched statements went, and how long their batches held rows, over time.

use serde::Serialize;

use crate::event::{BatchSlice, StatementDone};
use crate::record::Record;
use crate::report::format::{count, duration};

/// The size of a chart in its own units.
const WIDTH: f64 = 700.0;
const HEIGHT: f64 = 90.0;

/// From how many slices on there is a course to see.
const LEAST: usize = 3;

/// How many charts are drawn: those of the longest statements. A page with more is read by nobody.
const MOST: usize = 24;

/// One batched statement.
#[derive(Serialize)]
pub(super) struct Backfill {
    number: usize,
    place: String,
    text: String,
    summary: String,
    lasted: String,
    rate: Chart,
    latency: Chart,
}

/// A line over time, from 0 to its highest value.
#[derive(Serialize)]
struct Chart {
    /// Points of an SVG polyline.
    line: String,
    /// The same down to the axis.
    area: String,
    highest: String,
}

/// The longest first.
pub(super) fn of(record: &Record) -> Vec<Backfill> {
    let mut batched: Vec<_> = record
        .steps
        .iter()
        .flat_map(|step| step.statements.iter().map(move |done| (step.index + 1, done)))
        .filter(|(_, done)| done.course.len() >= LEAST)
        .collect();
    batched.sort_by_key(|(_, done)| std::cmp::Reverse(done.duration_ms));
    batched.into_iter().take(MOST).map(|(number, done)| backfill(number, done)).collect()
}

fn backfill(number: usize, done: &StatementDone) -> Backfill {
    let mut began = 0;
    let rates: Vec<u64> = done
        .course
        .iter()
        .map(|slice| {
            let took = slice.until_ms.saturating_sub(began).max(1);
            began = slice.until_ms;
            slice.rows.saturating_mul(1_000) / took
        })
        .collect();
    let latencies: Vec<u64> = done.course.iter().map(|slice| slice.longest_ms).collect();
    let lasted = done.course.last().map_or(0, |slice| slice.until_ms);
    let mean = done.rows.saturating_mul(1_000) / done.duration_ms.max(1);
    Backfill {
        number,
        place: format!("version {} {}, line {}", done.version, done.direction.as_str(), done.line),
        text: done.summary.clone(),
        summary: format!(
            "{} rows in {} batches, {} rows/s, the longest batch {}",
            count(done.rows),
            count(done.batches.unwrap_or_default()),
            count(mean),
            duration(done.longest_batch_ms.unwrap_or_default())
        ),
        lasted: duration(lasted),
        rate: chart(&done.course, &rates, |rate| format!("{} rows/s", count(rate))),
        latency: chart(&done.course, &latencies, duration),
    }
}

/// Each value stands for the time since the last one: a line of steps.
#[expect(clippy::cast_precision_loss, reason = "a chart is read to a pixel")]
fn chart(course: &[BatchSlice], values: &[u64], named: impl Fn(u64) -> String) -> Chart {
    let most = values.iter().copied().max().unwrap_or_default();
    let last = course.last().map_or(1, |slice| slice.until_ms).max(1) as f64;
    let mut line = String::new();
    let mut from = 0.0;
    for (slice, value) in course.iter().zip(values) {
        let to = slice.until_ms as f64 / last * WIDTH;
        let y = HEIGHT - *value as f64 / most.max(1) as f64 * HEIGHT;
        line.push_str(&format!("{from:.1},{y:.1} {to:.1},{y:.1} "));
        from = to;
    }
    let line = line.trim_end().to_owned();
    let area = format!("0,{HEIGHT} {line} {from:.1},{HEIGHT}");
    Chart { line, area, highest: named(most) }
}
