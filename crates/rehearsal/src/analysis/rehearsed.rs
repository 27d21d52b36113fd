//! What the last rehearsal that went well saw of a file: the same text, by the digest that sqlx records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::event::{LockHeld, Outcome, StatementDone};
use crate::plan::{Direction, PlannedFile};
use crate::postgres::schema::hex;
use crate::record::{REHEARSE, Record};
use crate::source::MigrationSet;

/// The steps that run files, up and down.
const THERE: &str = "migrate";
const BACK: &str = "rollback";

/// The step that compares with what was there before the first one.
const AS_BEFORE: &str = "as-before";

/// The step that generates data; without it, a rehearsal is one of a copy.
const BASELINE: &str = "baseline";

/// A rehearsal of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsed {
    /// Names the run.
    pub run_id: String,
    /// When it began.
    pub at: DateTime<Utc>,
    /// The target that it worked on a copy of; none when its data were generated.
    pub copy_of: Option<String>,
    /// How long the file's statements took together.
    pub duration_ms: u64,
    /// What each statement did, by its number in the file.
    pub statements: Vec<Ran>,
    /// The locks on tables that were there before, and that kept others from reading or writing.
    pub locks: Vec<LockHeld>,
    /// The tables whose rows were all written anew.
    pub rewritten: Vec<String>,
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Its number in the file, from 1.
    pub number: usize,
    /// How long it took.
    pub duration_ms: u64,
    /// Rows it touched.
    pub rows: u64,
}

/// Whether a rehearsal came back to where it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// Schema and contents were what they had been.
    Exactly {
        /// When it began.
        at: DateTime<Utc>,
        /// The target that it worked on a copy of; none when its data were generated.
        copy_of: Option<String>,
        /// What was compared.
        summary: String,
    },
    /// They were not, or a down file failed.
    Failed {
        /// Names the run.
        run_id: String,
        /// When it began.
        at: DateTime<Utc>,
        /// What it said.
        why: String,
    },
}

/// The rehearsals of a workspace, newest first.
#[derive(Debug, Default)]
pub struct Rehearsals {
    /// Those that ended well.
    records: Vec<Record>,
    /// The others.
    failed: Vec<Record>,
}

impl Rehearsals {
    /// Reads the records below a folder. Those that cannot be read are passed over: they may be of a newer
    /// version.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let Ok(entries) = std::fs::read_dir(folder) else { return Self::default() };
        let of_a_rehearsal = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.contains(&format!("-{REHEARSE}-")) && name.ends_with(".json")
        };
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(of_a_rehearsal).collect();
        // Their names open with the time of the run.
        paths.sort();
        let records =
            paths.iter().rev().filter_map(|path| serde_json::from_slice::<Record>(&std::fs::read(path).ok()?).ok());
        let ended_well = |record: &Record| matches!(record.outcome, Some(Outcome::Done | Outcome::Warned));
        let (records, failed) = records.filter(|record| record.run.command == REHEARSE).partition(ended_well);
        Self { records, failed }
    }

    /// How the newest rehearsal of all these files ended that came as far as the way back; one on a copy of the
    /// target before any other.
    #[must_use]
    pub fn way_back(&self, versions: &[i64], set: &MigrationSet, target: &str) -> Option<Returned> {
        if versions.is_empty() {
            return None;
        }
        let mut records: Vec<&Record> = self.records.iter().chain(&self.failed).collect();
        records.sort_by_key(|record| (copy_of(record) == Some(target), record.started_at));
        records.into_iter().rev().find_map(|record| returned(record, versions, set))
    }

    /// The newest one of a file as it is now; one on a copy of the target before any other.
    #[must_use]
    pub fn of(&self, file: &PlannedFile, set: &MigrationSet, target: &str) -> Option<Rehearsed> {
        let on_its_copy = self.records.iter().filter(|record| copy_of(record) == Some(target));
        let elsewhere = self.records.iter().filter(|record| copy_of(record) != Some(target));
        on_its_copy.chain(elsewhere).find_map(|record| of_record(record, file, set))
    }

    /// How long the steps of a run of these files are going to take, by their names, as far as rehearsals tell:
    /// nothing unless each of the files was rehearsed as it is now.
    #[must_use]
    pub fn planned(&self, files: &[PlannedFile], set: &MigrationSet, target: &str) -> BTreeMap<String, u64> {
        let rehearsed: Option<Vec<Rehearsed>> = files.iter().map(|file| self.of(file, set, target)).collect();
        let Some((file, rehearsed)) = files.first().zip(rehearsed) else { return BTreeMap::new() };
        let newest = rehearsed.iter().max_by_key(|rehearsed| rehearsed.at);
        let record = newest.and_then(|newest| self.records.iter().find(|record| record.run.run_id == newest.run_id));
        // The first time: later ones have less to do.
        let steps = record.iter().flat_map(|record| record.steps.iter().rev());
        let mut planned: BTreeMap<String, u64> =
            steps.filter_map(|step| Some((step.name.clone(), step.duration_ms?))).collect();
        // A rehearsal may have gone there in several steps, or further.
        let (this, other) = match file.direction {
            Direction::Up => (THERE, BACK),
            Direction::Down => (BACK, THERE),
        };
        planned.remove(other);
        planned.insert(this.to_owned(), rehearsed.iter().map(|rehearsed| rehearsed.duration_ms).sum());
        planned
    }
}

fn returned(record: &Record, versions: &[i64], set: &MigrationSet) -> Option<Returned> {
    let is_same = |version: &i64| {
        let known = record.run.migrations.iter().find(|digest| digest.version == *version);
        set.get(*version).zip(known).is_some_and(|(migration, known)| {
            let down = migration.down.as_ref().map(|down| hex(&down.checksum));
            known.up == hex(&migration.up.checksum) && known.down == down
        })
    };
    let went_there = |version: &i64| {
        let mut there = record.steps.iter().filter(|step| step.name == THERE).flat_map(|step| &step.statements);
        there.any(|done| done.version == *version && done.direction == Direction::Up)
    };
    if !versions.iter().all(|version| is_same(version) && went_there(version)) {
        return None;
    }
    // The first way back is the one that is compared; later ones serve clients meanwhile.
    let back = record.steps.iter().find(|step| step.name == BACK)?;
    let compared = record.steps.iter().find(|step| step.name == AS_BEFORE);
    let failed = |outcome: Option<Outcome>| matches!(outcome, Some(Outcome::Failed | Outcome::Refused));
    let (run_id, at) = (record.run.run_id.clone(), record.started_at);
    if let Some(step) = [Some(back), compared].into_iter().flatten().find(|step| failed(step.outcome)) {
        return Some(Returned::Failed { run_id, at, why: step.summary.clone() });
    }
    let exact = compared.filter(|step| step.outcome == Some(Outcome::Done))?;
    let copy_of = copy_of(record).map(str::to_owned);
    Some(Returned::Exactly { at, copy_of, summary: exact.summary.clone() })
}

fn copy_of(record: &Record) -> Option<&str> {
    let generated = record.run.steps.iter().any(|step| step.name == BASELINE);
    // Behind the name stands where it is.
    if generated { None } else { record.run.target.split_whitespace().next() }
}

fn of_record(record: &Record, file: &PlannedFile, set: &MigrationSet) -> Option<Rehearsed> {
    let migration = set.get(file.version)?;
    let known = record.run.migrations.iter().find(|digest| digest.version == file.version)?;
    let same = match file.direction {
        Direction::Up => known.up == hex(&migration.up.checksum),
        Direction::Down => {
            known.down.is_some() && known.down == migration.down.as_ref().map(|down| hex(&down.checksum))
        }
    };
    let is_of_it = |done: &&StatementDone| done.version == file.version && done.direction == file.direction;
    // A rehearsal goes there more than once; its first time is the one with all the rows to change.
    let step = record.steps.iter().find(|step| step.statements.iter().any(|done| is_of_it(&done)))?;
    let ran: Vec<Ran> = step
        .statements
        .iter()
        .filter(is_of_it)
        .map(|done| Ran { number: done.number, duration_ms: done.duration_ms, rows: done.rows })
        .collect();
    let locks: Vec<_> =
        step.locks.iter().filter(|held| held.version == file.version && held.direction == file.direction).collect();
    same.then(|| Rehearsed {
        run_id: record.run.run_id.clone(),
        at: record.started_at,
        copy_of: copy_of(record).map(str::to_owned),
        duration_ms: ran.iter().map(|ran| ran.duration_ms).sum(),
        statements: ran,
        locks: locks.iter().flat_map(|held| held.locks.clone()).collect(),
        rewritten: locks.iter().flat_map(|held| held.rewritten.clone()).collect(),
    })
}
