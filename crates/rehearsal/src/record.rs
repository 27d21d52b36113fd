//! All that a run saw: the evidence, as versioned JSON. Folded from the events, so any report can be
//! made again from it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Observation, Seen};
use crate::event::{
    BackupDone, CheckDone, ErrorText, Event, EventKind, HookDone, Level, LintFinding, LocksHeld, NoticeHeard, Outcome,
    RunStarted, SmokeDone, StatementDone, TrafficDone,
};
use crate::postgres::version::Version;
use crate::questions::answers::Answer;
use crate::schema_change::SchemaChange;

/// Version of the record's format; it goes up when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// The command whose records are rehearsals.
pub const REHEARSE: &str = "rehearse";

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// [`FORMAT`].
    #[schemars(description = "Version of this format.", extend("const" = FORMAT))]
    pub format: u32,
    /// What was announced.
    pub run: RunStarted,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took; absent while it runs, and for ever when it was killed.
    pub duration_ms: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What the process ended with.
    pub exit_code: Option<u8>,
    /// What went wrong.
    pub error: Option<ErrorText>,
    /// What to run next.
    pub next: Option<String>,
    /// The databases it talked to.
    pub databases: Vec<Database>,
    /// The throwaway server.
    pub sandbox: Option<SandboxUsed>,
    /// The steps that began, in order.
    pub steps: Vec<StepRecord>,
}

/// A database that a run talked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Database {
    /// The target's name.
    pub target: String,
    /// Where it is, without a password.
    pub address: String,
    /// The server's version.
    pub server: Version,
}

/// The throwaway server of a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SandboxUsed {
    /// Which provider gave it.
    pub provider: String,
    /// Its version.
    pub server: Version,
    /// Why not the providers before it.
    pub reasons: Vec<String>,
    /// How long its start took.
    pub duration_ms: u64,
}

/// One step.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// Its place in the announced list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Its main figure, or the reason of its outcome.
    pub summary: String,
    /// The statements that it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<StatementDone>,
    /// What its statements said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<NoticeHeard>,
    /// What the linter does not like in the files that are going to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<LintFinding>,
    /// The checks that it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckDone>,
    /// The smoke tests that it sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub smoke: Vec<SmokeDone>,
    /// The hook that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookDone>,
    /// What people had answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// The backup that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupDone>,
    /// What clients ran meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<TrafficDone>,
    /// The locks that its files held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<LocksHeld>,
    /// What had become of the schema since `audit` looked at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema: Vec<SchemaChange>,
    /// What going back lost, and how much of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<(String, String)>,
    /// Figures by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<(String, String)>,
    /// What it said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<(Level, String)>,
}

impl Record {
    /// The record below `folder` of the `migrate` whose audit saw that target's database before the newest
    /// migration began. One that stopped half-way and those that went on with it are one migration, and only
    /// the first of them saw what was there before. Files that cannot be read are passed over: they may be
    /// of a newer version.
    #[must_use]
    pub fn before_latest_migration(folder: &Path, target: &str, address: &str) -> Option<Self> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        // Their names open with the time of the run.
        paths.sort();
        let mut earliest = None;
        for path in paths.iter().rev() {
            let read = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
            let Some(record) = read.filter(|record| record.is_of(target, address)) else { continue };
            let finished = record.outcome.is_some_and(is_finished);
            match record.run.command.as_str() {
                "migrate" if finished && earliest.is_some() => break,
                "migrate" if record.has_audited() => earliest = Some(record),
                // What was undone is not what a later run went on with.
                "rollback" if finished && earliest.is_some() => break,
                _ => {}
            }
        }
        earliest
    }

    /// The rehearsal before this one of the same release on the same kind of data, from the records below `folder`;
    /// only a rehearsal has one. Files that cannot be read are passed over: they may be of a newer version.
    #[must_use]
    pub fn rehearsal_before(&self, folder: &Path) -> Option<Self> {
        if self.run.command != REHEARSE {
            return None;
        }
        let name = |path: &PathBuf| path.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
        // Names open with the time of the run.
        let is_earlier = |path: &PathBuf| {
            let rehearsal = format!("-{REHEARSE}-");
            path.extension().is_some_and(|extension| extension == "json")
                && name(path).is_some_and(|name| name.contains(&rehearsal) && name < self.run.run_id)
        };
        let entries = std::fs::read_dir(folder).ok()?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_earlier).collect();
        paths.sort();
        let records =
            paths.iter().rev().filter_map(|path| serde_json::from_slice::<Self>(&std::fs::read(path).ok()?).ok());
        let is_alike =
            |earlier: &Self| earlier.run.release == self.run.release && earlier.run.target == self.run.target;
        records.filter(|earlier| earlier.run.command == REHEARSE && earlier.outcome.is_some()).find(is_alike)
    }

    fn is_of(&self, target: &str, address: &str) -> bool {
        self.databases.iter().any(|database| database.target == target && database.address == address)
    }

    /// Its audit came to its end.
    fn has_audited(&self) -> bool {
        self.steps.iter().any(|step| step.name == "audit" && step.outcome.is_some_and(is_finished))
    }

    /// What the audit of this run saw, to be compared with later.
    #[must_use]
    pub fn observation(&self) -> Observation {
        let checks = self
            .steps
            .iter()
            .filter(|step| step.name == "audit")
            .flat_map(|step| &step.checks)
            .filter_map(|check| {
                let seen = Seen { found: check.found.clone(), digest: check.digest.clone()? };
                Some((check.name.clone(), seen))
            })
            .collect();
        let origin = format!("the audit of {}, {}", self.run.run_id, self.started_at.format("%Y-%m-%d %H:%M UTC"));
        Observation { checks, origin: Some(origin), ..Observation::default() }
    }

    /// Whether something was done, seen or refused. A run that found nothing to do says no more than
    /// the next one will.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        let says = |step: &StepRecord| {
            !step.statements.is_empty()
                || !step.checks.is_empty()
                || !step.smoke.is_empty()
                || step.backup.is_some()
                || !step.figures.is_empty()
        };
        self.error.is_some() || self.steps.len() > 1 || self.steps.iter().any(says)
    }

    /// Folds one event in. The first one must be `RunStarted`; until it comes there is no record.
    pub fn fold(record: &mut Option<Self>, event: &Event) {
        if let EventKind::RunStarted(run) = &event.kind {
            *record = Some(Self {
                format: FORMAT,
                run: run.clone(),
                started_at: event.at,
                duration_ms: None,
                outcome: None,
                exit_code: None,
                error: None,
                next: None,
                databases: Vec::new(),
                sandbox: None,
                steps: Vec::new(),
            });
        } else if let Some(record) = record {
            record.take_in(event);
        }
    }

    fn take_in(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Connected { target, address, server } => {
                let database = Database { target: target.clone(), address: address.clone(), server: *server };
                if !self.databases.contains(&database) {
                    self.databases.push(database);
                }
            }
            EventKind::SandboxStarted { provider, server, reasons, duration_ms } => {
                self.sandbox = Some(SandboxUsed {
                    provider: provider.clone(),
                    server: *server,
                    reasons: reasons.clone(),
                    duration_ms: *duration_ms,
                });
            }
            EventKind::StepStarted { index } => self.steps.push(StepRecord {
                index: *index,
                name: self.run.steps.get(*index).map_or_else(String::new, |step| step.name.clone()),
                started_at: event.at,
                duration_ms: None,
                outcome: None,
                summary: String::new(),
                statements: Vec::new(),
                notices: Vec::new(),
                findings: Vec::new(),
                checks: Vec::new(),
                smoke: Vec::new(),
                hook: None,
                answers: Vec::new(),
                backup: None,
                traffic: Vec::new(),
                locks: Vec::new(),
                schema: Vec::new(),
                losses: Vec::new(),
                figures: Vec::new(),
                notes: Vec::new(),
            }),
            EventKind::RunFinished(finished) => {
                self.duration_ms = Some(finished.duration_ms);
                self.outcome = Some(finished.outcome);
                self.exit_code = Some(finished.exit_code);
                self.error = finished.error.clone();
                self.next = finished.next.clone();
            }
            kind => {
                if let Some(step) = self.steps.last_mut() {
                    step.take_in(kind);
                }
            }
        }
    }
}

fn is_finished(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Done | Outcome::Warned)
}

impl StepRecord {
    fn take_in(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Statement(statement) => self.statements.push(statement.clone()),
            EventKind::Notice(notice) => self.notices.push(notice.clone()),
            EventKind::Finding(finding) => self.findings.push(finding.clone()),
            EventKind::Check(check) => self.checks.push(check.clone()),
            EventKind::Smoke(smoke) => self.smoke.push(smoke.clone()),
            EventKind::Hook(hook) => self.hook = Some(hook.clone()),
            EventKind::Answer(answer) => self.answers.push(answer.clone()),
            EventKind::Backup(backup) => self.backup = Some(backup.clone()),
            EventKind::BackupSent { place } => {
                if let Some(backup) = &mut self.backup {
                    backup.path.clone_from(place);
                }
            }
            EventKind::Traffic(traffic) => self.traffic.push(traffic.clone()),
            EventKind::Locks(locks) => self.locks.push(locks.clone()),
            EventKind::Schema { changes } => self.schema.clone_from(changes),
            EventKind::Loss { what, amount } => self.losses.push((what.clone(), amount.clone())),
            EventKind::Figure { name, value } => self.figures.push((name.clone(), value.clone())),
            EventKind::Note { level, text } => self.notes.push((*level, text.clone())),
            EventKind::StepFinished { outcome, summary, duration_ms, .. } => {
                self.outcome = Some(*outcome);
                self.summary.clone_from(summary);
                self.duration_ms = Some(*duration_ms);
            }
            _ => {}
        }
    }
}
