//! What clients saw meanwhile.

use serde::Serialize;

use crate::record::Record;
use crate::report::format::{count, milliseconds_of, shortened};

/// How much of an error is shown, in characters.
const ERROR: usize = 300;

/// One statement of theirs in one step.
#[derive(Serialize)]
pub(super) struct Client {
    number: usize,
    name: String,
    code: &'static str,
    runs: String,
    errors: u64,
    error: String,
    median: String,
    most: String,
    longest: String,
}

/// Those that failed first, then the slowest.
pub(super) fn of(record: &Record) -> Vec<Client> {
    let mut all: Vec<_> =
        record.steps.iter().flat_map(|step| step.traffic.iter().map(move |done| (step.index + 1, done))).collect();
    all.sort_by_key(|(_, done)| std::cmp::Reverse((done.errors, done.longest_us)));
    all.into_iter()
        .map(|(number, done)| Client {
            number,
            name: done.name.clone(),
            code: done.code.as_str(),
            runs: count(done.runs),
            errors: done.errors,
            error: done.error.as_deref().map_or_else(String::new, |error| shortened(error, ERROR)),
            median: milliseconds_of(done.median_us),
            most: milliseconds_of(done.most_us),
            longest: milliseconds_of(done.longest_us),
        })
        .collect()
}
