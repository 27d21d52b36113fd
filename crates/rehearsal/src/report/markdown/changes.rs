//! What changed since the rehearsal before: times, rows, locks, checks, and the files themselves.

use std::collections::BTreeMap;

use super::escape::{cell, code};
use crate::event::{CheckOutcome, Outcome};
use crate::record::Record;
use crate::report::format::{count, duration, plural};

/// Times that differ by less are taken for the same: nobody notices them (it is the first `lock_timeout` of a
/// release's statements), and two runs of the same files on a busy machine are that far apart.
const NOISE_MS: u64 = 200;

/// The most lines of the table.
const SHOWN: usize = 40;

/// What a file did when it ran for the first time.
#[derive(Default)]
struct Ran {
    milliseconds: u64,
    rows: u64,
}

/// A section that says so.
pub(super) fn since(earlier: &Record, now: &Record) -> String {
    let mut lines = Vec::new();
    let outcome = |record: &Record| record.outcome.map_or("did not end", Outcome::as_str).to_owned();
    if earlier.outcome != now.outcome {
        lines.push(row("outcome", &outcome(earlier), &outcome(now)));
    }
    let took = |record: &Record| record.duration_ms.map_or_else(String::new, duration);
    lines.push(row("time of the whole run", &took(earlier), &took(now)));
    let always = lines.len();
    lines.extend(files(earlier, now));
    lines.extend(statements(&ran(earlier), &ran(now)));
    lines.extend(locks(&held(earlier), &held(now)));
    lines.extend(checks(&found(earlier), &found(now)));
    let at = earlier.started_at.format("%Y-%m-%d %H:%M UTC");
    let mut text = format!(
        "## Since the rehearsal of {at}\n\n| {} | before | now |\n|---|---:|---:|\n",
        code(&earlier.run.run_id)
    );
    for line in lines.iter().take(SHOWN) {
        text.push_str(line);
    }
    text.push('\n');
    if lines.len() > SHOWN {
        text.push_str(&format!("… and {}\n\n", plural((lines.len() - SHOWN) as u64, "more change")));
    }
    if lines.len() == always {
        text.push_str("Files, rows, locks and checks are as they were.\n\n");
    }
    text
}

fn row(what: &str, before: &str, now: &str) -> String {
    format!("| {what} | {before} | {now} |\n")
}

fn files(earlier: &Record, now: &Record) -> Vec<String> {
    let versions = |record: &Record| -> BTreeMap<i64, (String, Option<String>)> {
        record.run.migrations.iter().map(|file| (file.version, (file.up.clone(), file.down.clone()))).collect()
    };
    let (before, after) = (versions(earlier), versions(now));
    differences(&before, &after, |version, before, after| {
        let how = match (before, after) {
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            (Some(before), Some(after)) if before != after => "edited",
            _ => return None,
        };
        Some(row(&format!("files of version {version}"), "", how))
    })
}

fn ran(record: &Record) -> BTreeMap<(i64, &'static str), Ran> {
    let mut all = BTreeMap::new();
    for step in record.steps.iter().rev() {
        let mut of_step: BTreeMap<(i64, &'static str), Ran> = BTreeMap::new();
        for done in &step.statements {
            let file = of_step.entry((done.version, done.direction.as_str())).or_default();
            file.milliseconds += done.duration_ms;
            file.rows += done.rows;
        }
        // A rehearsal goes there more than once; its first time is the one with all the rows to change.
        all.extend(of_step);
    }
    all
}

fn statements(before: &BTreeMap<(i64, &'static str), Ran>, now: &BTreeMap<(i64, &'static str), Ran>) -> Vec<String> {
    let told = |ran: Option<&Ran>| {
        ran.map_or_else(String::new, |ran| format!("{}, {} rows", duration(ran.milliseconds), count(ran.rows)))
    };
    differences(before, now, |(version, direction), before, now| {
        let same = before
            .zip(now)
            .is_some_and(|(before, now)| before.rows == now.rows && !is_telling(before.milliseconds, now.milliseconds));
        (!same).then(|| row(&format!("version {version} {direction}"), &told(before), &told(now)))
    })
}

fn held(record: &Record) -> BTreeMap<(i64, &'static str, String, String), u64> {
    let mut longest = BTreeMap::new();
    for file in record.steps.iter().flat_map(|step| &step.locks) {
        for lock in &file.locks {
            let key = (file.version, file.direction.as_str(), lock.relation.clone(), lock.mode.clone());
            let most: &mut u64 = longest.entry(key).or_default();
            *most = lock.longest_ms.max(*most);
        }
    }
    longest
}

fn locks(
    before: &BTreeMap<(i64, &'static str, String, String), u64>,
    now: &BTreeMap<(i64, &'static str, String, String), u64>,
) -> Vec<String> {
    let told = |lock: Option<&u64>| lock.map_or_else(String::new, |longest| duration(*longest));
    differences(before, now, |(version, direction, relation, mode), before, now| {
        // One that is held for less than the time between two looks is seen in one run and not in the next.
        is_telling(before.copied().unwrap_or_default(), now.copied().unwrap_or_default()).then(|| {
            let what = format!("version {version} {direction}: {} on {}", cell(mode), cell(relation));
            row(&what, &told(before), &told(now))
        })
    })
}

fn found(record: &Record) -> BTreeMap<&str, (CheckOutcome, &str)> {
    // What clients write meanwhile is different in every run; so is much of what is only reported (sizes, times).
    let alone = record.steps.iter().take_while(|step| step.name != "traffic");
    let verified = alone.filter(|step| step.name == "verify").flat_map(|step| &step.checks);
    let judged = verified.filter(|check| check.outcome != CheckOutcome::Reported);
    // The last look at each of them counts.
    judged.map(|check| (check.name.as_str(), (check.outcome, check.found.as_str()))).collect()
}

fn checks(before: &BTreeMap<&str, (CheckOutcome, &str)>, now: &BTreeMap<&str, (CheckOutcome, &str)>) -> Vec<String> {
    let told = |check: Option<&(CheckOutcome, &str)>| {
        check.map_or_else(String::new, |(outcome, found)| {
            let mark = if *outcome == CheckOutcome::Failed { "**failed** " } else { "" };
            format!("{mark}{}", cell(found))
        })
    };
    differences(before, now, |name, before, now| {
        (before != now).then(|| row(&format!("check {}", cell(name)), &told(before), &told(now)))
    })
}

/// What `line` says of each key that one of the two has, in their order.
fn differences<K: Ord, V>(
    before: &BTreeMap<K, V>,
    now: &BTreeMap<K, V>,
    line: impl Fn(&K, Option<&V>, Option<&V>) -> Option<String>,
) -> Vec<String> {
    let keys: std::collections::BTreeSet<&K> = before.keys().chain(now.keys()).collect();
    keys.into_iter().filter_map(|key| line(key, before.get(key), now.get(key))).collect()
}

/// By more than half, and by more than what comes by chance.
fn is_telling(before: u64, now: u64) -> bool {
    let (less, more) = (before.min(now), before.max(now));
    more - less >= NOISE_MS && more > less + less / 2
}
