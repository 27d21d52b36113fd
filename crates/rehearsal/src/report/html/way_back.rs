//! What going back loses, and whether it leads to where it began.

use serde::Serialize;

use crate::event::Level;
use crate::record::{Record, StepRecord};

/// The way back, as far as the run went it.
#[derive(Serialize)]
pub(super) struct WayBack {
    /// What would be or was lost: what, and how much.
    losses: Vec<(String, String)>,
    /// What the comparison with the state of before said.
    comparisons: Vec<Comparison>,
}

/// One comparison of the schema and the contents with those of before.
#[derive(Serialize)]
struct Comparison {
    number: usize,
    class: &'static str,
    summary: String,
    /// What differs, line by line.
    differences: Vec<String>,
}

/// Empty when nothing was undone.
pub(super) fn of(record: &Record) -> WayBack {
    // The first time it was undone: later passes lose what their clients wrote as well.
    let undone = record.steps.iter().find(|step| step.name == "rollback");
    let losses = undone.map_or_else(Vec::new, |step| step.losses.clone());
    let compared = record.steps.iter().filter(|step| step.name == "as-before");
    WayBack { losses, comparisons: compared.map(comparison).collect() }
}

fn comparison(step: &StepRecord) -> Comparison {
    let noted = step.notes.iter().map(|(level, note)| match level {
        Level::Warn => format!("! {note}"),
        Level::Info => note.clone(),
    });
    Comparison {
        number: step.index + 1,
        class: super::steps::class(step.outcome),
        summary: step.summary.clone(),
        differences: noted.chain(step.figures.iter().map(|(name, value)| format!("{name}: {value}"))).collect(),
    }
}
