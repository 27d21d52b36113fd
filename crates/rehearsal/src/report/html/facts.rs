//! The figures that come first, and where they were measured.

use serde::Serialize;

use crate::event::LockHeld;
use crate::record::{Record, StepRecord};
use crate::report::format::{bytes, count, duration, milliseconds_of};

/// A figure with its name.
#[derive(Serialize)]
pub(super) struct Fact {
    name: String,
    value: String,
    /// What it is about, in small letters.
    about: String,
}

impl Fact {
    fn new(name: &str, value: String, about: String) -> Self {
        Self { name: name.into(), value, about }
    }
}

/// The figures of the run.
pub(super) fn of(record: &Record) -> Vec<Fact> {
    let steps = &record.steps;
    let mut facts = Vec::new();
    let there = || steps.iter().take_while(|step| step.name != "rollback").filter(|step| step.name == "migrate");
    if there().next().is_some() {
        let took = there().filter_map(|step| step.duration_ms).sum();
        let statements = there().map(|step| step.statements.len()).sum::<usize>();
        let rows = there().flat_map(|step| &step.statements).map(|done| done.rows).sum();
        let about = format!("{} statements, {} rows written", count(statements as u64), count(rows));
        facts.push(Fact::new("migrate", duration(took), about));
    }
    if let Some(back) = steps.iter().find(|step| step.name == "rollback") {
        let took = back.duration_ms.map_or_else(|| "did not end".into(), duration);
        facts.push(Fact::new("the way back", took, back.summary.clone()));
    }
    if let Some((lock, version)) = longest_lock(steps) {
        let about = format!("{} on {}, version {version}", lock.mode, lock.relation);
        facts.push(Fact::new("longest lock", duration(lock.longest_ms), about));
    }
    let traffic = steps.iter().flat_map(|step| &step.traffic);
    if let Some(slowest) = traffic.clone().max_by_key(|done| done.longest_us) {
        let errors: u64 = traffic.clone().map(|done| done.errors).sum();
        let about = format!(
            "{}; {} statements, {} failed",
            slowest.name,
            count(traffic.map(|done| done.runs).sum()),
            count(errors)
        );
        facts.push(Fact::new("slowest client", milliseconds_of(slowest.longest_us), about));
    }
    if let Some(backup) = steps.iter().find_map(|step| step.backup.as_ref()) {
        let proof = backup.proof.as_ref().map_or_else(|| "proven".to_owned(), ToString::to_string);
        let about = format!("{} rows in {} tables; {proof}", count(backup.rows), backup.tables);
        facts.push(Fact::new("backup", bytes(backup.bytes), about));
    }
    let checks = steps.iter().flat_map(|step| &step.checks);
    let judged = checks.filter(|check| super::checks::mark(check.outcome).1 != "reported");
    let (passed, all) = judged.fold((0_u64, 0_u64), |(passed, all), check| {
        (passed + u64::from(super::checks::mark(check.outcome).1 == "passed"), all + 1)
    });
    if all > 0 {
        facts.push(Fact::new("checks passed", format!("{} of {}", count(passed), count(all)), String::new()));
    }
    facts
}

fn longest_lock(steps: &[StepRecord]) -> Option<(&LockHeld, i64)> {
    steps
        .iter()
        .flat_map(|step| &step.locks)
        .flat_map(|file| file.locks.iter().map(move |lock| (lock, file.version)))
        .max_by_key(|(lock, _)| lock.longest_ms)
}

/// Programs and servers.
pub(super) fn environment(record: &Record) -> Vec<Fact> {
    let commit = record.run.commit.clone().unwrap_or_else(|| "unknown".into());
    let mut facts = vec![
        Fact::new("run", record.run.run_id.clone(), String::new()),
        Fact::new("rehearsal", record.run.tool.clone(), String::new()),
        Fact::new("commit", commit, String::new()),
    ];
    for database in &record.databases {
        let name = format!("target {}", database.target);
        facts.push(Fact::new(&name, format!("PostgreSQL {}", database.server), database.address.clone()));
    }
    if let Some(sandbox) = &record.sandbox {
        let mut about = format!("started in {}", duration(sandbox.duration_ms));
        sandbox.reasons.iter().for_each(|reason| about.push_str(&format!("; not {reason}")));
        let value = format!("{}, PostgreSQL {}", sandbox.provider, sandbox.server);
        facts.push(Fact::new("sandbox", value, about));
    }
    facts
}
