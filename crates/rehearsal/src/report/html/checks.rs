//! Each check once, with what it found before, after and on the way back.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::{CheckDone, CheckOutcome};
use crate::record::Record;
use crate::report::format::shortened;

/// How much of what was found is shown in a cell, in characters.
const CELL: usize = 120;

/// Checks by steps.
#[derive(Serialize)]
pub(super) struct Checks {
    /// The steps that ran checks.
    steps: Vec<Column>,
    /// Those that did not hold somewhere.
    to_look_at: Vec<Row>,
    /// Those that held everywhere.
    others: Vec<Row>,
}

#[derive(Serialize)]
struct Column {
    number: usize,
    name: String,
}

#[derive(Serialize)]
struct Row {
    name: String,
    place: String,
    expected: String,
    cells: Vec<Cell>,
}

#[derive(Serialize, Clone)]
struct Cell {
    class: &'static str,
    mark: &'static str,
    word: &'static str,
    found: String,
}

/// Its mark and its word.
pub(super) fn mark(outcome: CheckOutcome) -> (&'static str, &'static str) {
    match outcome {
        CheckOutcome::Passed => ("✓", "passed"),
        CheckOutcome::Failed => ("✗", "failed"),
        CheckOutcome::NotJudged => ("?", "not judged"),
        CheckOutcome::Reported => ("", "reported"),
    }
}

fn cell(check: &CheckDone) -> Cell {
    let (mark, word) = mark(check.outcome);
    let class = match check.outcome {
        CheckOutcome::Passed => "good",
        CheckOutcome::Failed => "bad",
        CheckOutcome::NotJudged => "look",
        CheckOutcome::Reported => "none",
    };
    Cell { class, mark, word, found: shortened(&check.found, CELL) }
}

/// The table.
pub(super) fn table(record: &Record) -> Checks {
    let steps: Vec<_> = record.steps.iter().filter(|step| !step.checks.is_empty()).collect();
    let absent = Cell { class: "none", mark: "", word: "not run", found: String::new() };
    let mut rows: Vec<Row> = Vec::new();
    let mut places = BTreeMap::new();
    for (column, step) in steps.iter().enumerate() {
        for check in &step.checks {
            let row = *places.entry(&check.name).or_insert_with(|| {
                rows.push(Row {
                    name: check.name.clone(),
                    place: check.place.clone(),
                    expected: check.expectation.to_string(),
                    cells: vec![absent.clone(); steps.len()],
                });
                rows.len() - 1
            });
            if let Some(place) = rows.get_mut(row).and_then(|row| row.cells.get_mut(column)) {
                *place = cell(check);
            }
        }
    }
    let (to_look_at, others) =
        rows.into_iter().partition(|row| row.cells.iter().any(|cell| matches!(cell.class, "bad" | "look")));
    let steps = steps.iter().map(|step| Column { number: step.index + 1, name: step.name.clone() }).collect();
    Checks { steps, to_look_at, others }
}
