//! Whether the newest attempt at a backup worked, by the records of this machine's runs.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::event::Outcome;
use crate::record::Record;

/// The command whose records are attempts, and its step.
const COMMAND: &str = "db-backup";
const STEP: &str = "backup";

/// The newest attempt since then at a backup of that target, if it failed: which run, and why. Records that
/// cannot be read are passed over: they may be of a newer version.
#[must_use]
pub fn failed_since(records: &Path, target: &str, since: Option<DateTime<Utc>>) -> Option<String> {
    let of_a_backup = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.contains(&format!("-{COMMAND}-")) && name.ends_with(".json")
    };
    let mut paths: Vec<_> =
        std::fs::read_dir(records).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(of_a_backup).collect();
    // Their names open with the time of the run.
    paths.sort();
    let read = |path: &std::path::PathBuf| serde_json::from_slice::<Record>(&std::fs::read(path).ok()?).ok();
    let newest = paths.iter().rev().filter_map(read).find(|record| is_attempt(record, target))?;
    let worked = matches!(newest.outcome, Some(Outcome::Done | Outcome::Warned));
    let later = since.is_none_or(|since| newest.started_at > since);
    (later && !worked).then(|| {
        let why = newest.error.map_or_else(|| "it did not end".into(), |error| error.message);
        format!("the newest attempt ({}) failed: {why}", newest.run.run_id)
    })
}

fn is_attempt(record: &Record, target: &str) -> bool {
    let of_target = record.run.target == target || record.run.target.starts_with(&format!("{target} ("));
    record.run.command == COMMAND && of_target && record.run.steps.iter().any(|step| step.name == STEP)
}
