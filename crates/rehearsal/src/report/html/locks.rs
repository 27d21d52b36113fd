//! Which locks were held on which table, and for how long.

use serde::Serialize;

use crate::record::Record;
use crate::report::format::duration;

/// The width of a bar in its own units.
const WIDTH: u64 = 1_000;

/// How many are shown at once; the others unfold.
const FIRST: usize = 40;

/// The longest first.
#[derive(Serialize)]
pub(super) struct Locks {
    first: Vec<Row>,
    others: Vec<Row>,
    /// Tables whose rows were all written anew, with the version that did it.
    rewritten: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    number: usize,
    version: String,
    relation: String,
    mode: String,
    held: String,
    waiting: u64,
    width: u64,
}

/// Those of all steps.
pub(super) fn of(record: &Record) -> Locks {
    let mut held = Vec::new();
    let mut rewritten = Vec::new();
    for step in &record.steps {
        for file in &step.locks {
            let version = format!("{} {}", file.version, file.direction.as_str());
            held.extend(file.locks.iter().map(|lock| (step.index + 1, version.clone(), lock)));
            rewritten.extend(file.rewritten.iter().map(|table| format!("{table} by {version}")));
        }
    }
    held.sort_by_key(|(.., lock)| std::cmp::Reverse(lock.longest_ms));
    rewritten.sort();
    rewritten.dedup();
    let longest = held.first().map_or(1, |(.., lock)| lock.longest_ms).max(1);
    let mut first: Vec<Row> = held
        .into_iter()
        .map(|(number, version, lock)| Row {
            number,
            version,
            relation: lock.relation.clone(),
            mode: lock.mode.clone(),
            held: duration(lock.longest_ms),
            waiting: lock.waiting,
            width: lock.longest_ms * WIDTH / longest,
        })
        .collect();
    let others = first.split_off(first.len().min(FIRST));
    Locks { first, others, rewritten }
}
