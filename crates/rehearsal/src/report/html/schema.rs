//! What the release makes of the schema.

use serde::Serialize;

use crate::record::{Record, StepRecord};
use crate::report::format::plural;
use crate::schema_change::{Became, SchemaChange};

/// What one step saw.
#[derive(Serialize)]
pub(super) struct Seen<'a> {
    number: usize,
    name: &'a str,
    /// How many objects are new, changed and gone.
    summary: String,
    objects: Vec<Object<'a>>,
}

#[derive(Serialize)]
struct Object<'a> {
    name: &'a str,
    word: &'static str,
    class: &'static str,
    lines: &'a [String],
    left_out: usize,
}

/// In the order of the steps: each end of a part of the release once.
pub(super) fn of(record: &Record) -> Vec<Seen<'_>> {
    record.steps.iter().filter(|step| !step.schema.is_empty()).map(seen).collect()
}

fn seen(step: &StepRecord) -> Seen<'_> {
    Seen {
        number: step.index + 1,
        name: &step.name,
        summary: summary(&step.schema),
        objects: step.schema.iter().map(object).collect(),
    }
}

/// `3 new, 1 changed` objects.
fn summary(changes: &[SchemaChange]) -> String {
    let counts = [Became::New, Became::Changed, Became::Gone]
        .map(|became| (changes.iter().filter(|change| change.became == became).count(), became.as_str()));
    let counts: Vec<String> =
        counts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    format!("{}: {}", plural(changes.len() as u64, "object"), counts.join(", "))
}

fn object(change: &SchemaChange) -> Object<'_> {
    let class = match change.became {
        Became::New => "good",
        Became::Changed => "look",
        Became::Gone => "bad",
    };
    let SchemaChange { object, became, lines, left_out } = change;
    Object { name: object, word: became.as_str(), class, lines, left_out: *left_out }
}
