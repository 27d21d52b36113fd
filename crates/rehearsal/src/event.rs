//! All that a run says while it runs. The record and every report are made from these.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup::verdict::Proof;
use crate::check::{Expectation, Severity};
use crate::hooks::hook::When;
use crate::plan::Direction;
use crate::postgres::notices::Notice;
use crate::postgres::version::Version;
use crate::questions::answers::Answer;
use crate::schema_change::SchemaChange;
use crate::statement::{ClassLabel, Mode};
use crate::traffic::Code;

/// Version of the event format; it goes up when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// Something that happened, and when.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// [`FORMAT`].
    #[schemars(description = "Version of this format.", extend("const" = FORMAT))]
    pub format: u32,
    /// By this machine's clock.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// The first event: what is going to be done.
    RunStarted(RunStarted),
    /// The database that the next steps work on is known.
    Connected {
        /// The target's name.
        target: String,
        /// Where it is, without a password.
        address: String,
        /// The server's version.
        server: Version,
    },
    /// A step begins.
    StepStarted {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// How far the running step is. Not kept in the record.
    Progress(Progress),
    /// A throwaway server runs.
    SandboxStarted {
        /// Which provider gave it.
        provider: String,
        /// Its version.
        server: Version,
        /// Why this provider, when others were tried.
        reasons: Vec<String>,
        /// From the wish to the first answer.
        duration_ms: u64,
    },
    /// A migration file begins.
    FileStarted {
        /// Its version.
        version: i64,
        /// There or back.
        direction: Direction,
        /// Its path.
        path: String,
        /// How it is run.
        mode: Mode,
        /// An earlier run stopped in it.
        resumes: bool,
    },
    /// A statement ended.
    Statement(StatementDone),
    /// A statement said something.
    Notice(NoticeHeard),
    /// A migration file is done, and recorded in the history.
    FileFinished {
        /// Its version.
        version: i64,
        /// There or back.
        direction: Direction,
        /// How long all of it took.
        duration_ms: u64,
    },
    /// The linter does not like something in a file that is going to run.
    Finding(LintFinding),
    /// A check was run.
    Check(CheckDone),
    /// A smoke test was sent.
    Smoke(SmokeDone),
    /// A hook has ended.
    Hook(HookDone),
    /// What somebody answered before the run.
    Answer(Answer),
    /// A backup was made, proven or not.
    Backup(BackupDone),
    /// That backup has arrived where it is kept, and is no longer where it was made.
    BackupSent {
        /// Where it is, as `restore` takes it.
        place: String,
    },
    /// What clients ran meanwhile.
    Traffic(TrafficDone),
    /// Which locks a migration file held.
    Locks(LocksHeld),
    /// What has become of the schema since `audit` looked at it.
    Schema {
        /// Its objects that are new, changed or gone.
        changes: Vec<SchemaChange>,
    },
    /// What going back is about to lose, counted before it is gone.
    Loss {
        /// What, and by which line of which file.
        what: String,
        /// How much of it.
        amount: String,
    },
    /// A figure worth keeping.
    Figure {
        /// Its name.
        name: String,
        /// Its value, with its unit.
        value: String,
    },
    /// A sentence for people.
    Note {
        /// How much it matters.
        level: Level,
        /// The sentence.
        text: String,
    },
    /// A step ended.
    StepFinished {
        /// Its place in the list.
        index: usize,
        /// How.
        outcome: Outcome,
        /// Its main figure, or the reason why it was skipped or failed.
        summary: String,
        /// How long it took.
        duration_ms: u64,
    },
    /// The last event.
    RunFinished(RunFinished),
}

/// See [`EventKind::RunStarted`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// Names this run.
    pub run_id: String,
    /// The command: `rehearse`, `migrate` …
    pub command: String,
    /// The target's name; `sandbox` when there is none.
    pub target: String,
    /// The release, if one was named.
    pub release: Option<String>,
    /// The version of this tool.
    pub tool: String,
    /// The commit of the workspace, `-dirty` appended when it has changes.
    pub commit: Option<String>,
    /// The migrations of the workspace, with the digests that sqlx records of them.
    pub migrations: Vec<MigrationDigest>,
    /// The steps, in order.
    pub steps: Vec<StepName>,
}

/// A migration by what it says, not by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationDigest {
    /// Its version.
    pub version: i64,
    /// SHA-384 of its up file, hexadecimal, as in `_sqlx_migrations.checksum`.
    pub up: String,
    /// The same of its down file, if there is one.
    pub down: Option<String>,
}

/// A step as it is announced.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StepName {
    /// One word.
    pub name: String,
    /// What it does, as a short phrase.
    pub title: String,
    /// How long it took in the last rehearsal of the same files, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_ms: Option<u64>,
}

/// See [`EventKind::Progress`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// What is counted: "rows", "bytes".
    pub unit: String,
    /// How many so far.
    pub done: u64,
    /// How many there will be, as far as that is known.
    pub total: Option<u64>,
    /// What is being worked on.
    pub what: String,
    /// How many in a second, where whoever counts has left out what must not count (an earlier run's
    /// share, pauses).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u64>,
    /// How long the rest takes at that speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// See [`EventKind::Statement`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StatementDone {
    /// The file's version.
    pub version: i64,
    /// There or back.
    pub direction: Direction,
    /// Its number in the file, from 1.
    pub number: usize,
    /// Its line in the file, from 1.
    pub line: usize,
    /// How it was run.
    pub class: ClassLabel,
    /// Its first words.
    pub summary: String,
    /// Rows it touched, by the server's word.
    pub rows: u64,
    /// How many batches, if it was batched.
    pub batches: Option<u64>,
    /// The longest batch, if it was batched.
    pub longest_batch_ms: Option<u64>,
    /// After how many of its batches somebody was seen to wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_up: Option<u64>,
    /// How its batches went along, if it was batched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub course: Vec<BatchSlice>,
    /// How long its batches waited for others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Paused>,
    /// Tries that ended in a lock timeout or a deadlock before.
    pub retries: u32,
    /// How long it took.
    pub duration_ms: u64,
    /// It had been done by an earlier run, and was passed over.
    pub already_done: bool,
    /// How many statements were sent together with it, if there were others; rows and time are of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<usize>,
}

/// Some batches of a statement, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchSlice {
    /// When the last of them ended, counted from the begin of the statement.
    pub until_ms: u64,
    /// The rows that they touched.
    pub rows: u64,
    /// How long the longest of them took.
    pub longest_ms: u64,
}

/// How long batches waited for one reason, all times together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Paused {
    /// Why.
    pub reason: PauseReason,
    /// How long.
    pub duration_ms: u64,
}

/// Why the next batch of a statement waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PauseReason {
    /// The pause file was there.
    PauseFile,
    /// It was outside of the hours for batches.
    Window,
    /// A standby was too far behind.
    ReplicationLag,
    /// Somebody waited for a lock on the whole table.
    LockQueue,
}

impl PauseReason {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PauseFile => "for the pause file",
            Self::Window => "for the hour",
            Self::ReplicationLag => "for standbys",
            Self::LockQueue => "for the queue at the table",
        }
    }

    /// It ends when people say so, and not by itself.
    #[must_use]
    pub const fn is_long(self) -> bool {
        matches!(self, Self::PauseFile | Self::Window)
    }
}

/// See [`EventKind::Notice`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NoticeHeard {
    /// The file's version.
    pub version: i64,
    /// There or back.
    pub direction: Direction,
    /// The statement's line in the file, from 1.
    pub line: usize,
    /// What it said.
    #[serde(flatten)]
    pub notice: Notice,
}

/// See [`EventKind::Finding`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LintFinding {
    /// The file's version.
    pub version: i64,
    /// There or back.
    pub direction: Direction,
    /// The linter's name for the rule.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where it stands.
    pub place: FilePlace,
}

/// A line of one of the user's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilePlace {
    /// The file, as seen from the workspace's root.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// See [`EventKind::Check`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CheckDone {
    /// Its name.
    pub name: String,
    /// What it had to give.
    pub expectation: Expectation,
    /// What a failure means.
    pub severity: Severity,
    /// How it came out.
    pub outcome: CheckOutcome,
    /// What was found, shortened.
    pub found: String,
    /// Digest over all rows that were found, to compare with.
    pub digest: Option<String>,
    /// What was found before the release, where that is something else.
    pub before: Option<String>,
    /// How long its query took.
    pub duration_ms: u64,
    /// File and line.
    pub place: String,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It could not be judged; never the same as passed.
    NotJudged,
    /// It has nothing to hold: its figures are in the record.
    Reported,
}

/// See [`EventKind::Smoke`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SmokeDone {
    /// What the service is called: `app`, `app-before`, or where it runs.
    pub service: String,
    /// The test's name.
    pub name: String,
    /// Its flow; empty if it has none.
    pub flow: String,
    /// Method and path as the file has them, without the values that were filled in.
    pub request: String,
    /// The status that came, if one did.
    pub status: Option<u16>,
    /// The answer was what it had to be.
    pub passed: bool,
    /// What was expected and what was found; no secret is in it.
    pub complaints: Vec<String>,
    /// From the request to the end of the answer.
    pub duration_ms: u64,
}

/// See [`EventKind::Hook`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HookDone {
    /// Its name.
    pub name: String,
    /// When it was run.
    pub when: When,
    /// Program and arguments.
    pub command: String,
    /// Its exit code; absent when a signal ended it.
    pub exit: Option<i32>,
    /// How it ended, for people.
    pub ending: String,
    /// The last lines that it wrote; no secret and no control character is in them.
    pub output: Vec<String>,
    /// It wrote more than that.
    pub more: bool,
    /// From its start to its end.
    pub duration_ms: u64,
}

/// See [`EventKind::Backup`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BackupDone {
    /// Its folder; once it is sent, the record has the place that it was sent to.
    pub path: String,
    /// Size of its files.
    pub bytes: u64,
    /// How many tables.
    pub tables: usize,
    /// Rows in all of them.
    pub rows: u64,
    /// How long the dump took.
    pub dump_ms: u64,
    /// How long restoring and comparing took.
    pub proof_ms: u64,
    /// How that ended. Nothing in records of earlier versions, which knew proven ones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// See [`EventKind::Traffic`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TrafficDone {
    /// The statement's name.
    pub name: String,
    /// Whose it is.
    pub code: Code,
    /// File and line.
    pub place: String,
    /// How often clients ran it.
    pub runs: u64,
    /// How often it failed.
    pub errors: u64,
    /// The first failure, in the server's words.
    pub error: Option<String>,
    /// Half of the runs took no longer than that many microseconds.
    pub median_us: u64,
    /// 99 of 100 runs took no longer than that many microseconds.
    pub most_us: u64,
    /// The longest run, in microseconds.
    pub longest_us: u64,
}

/// See [`EventKind::Locks`]. Seen from a second connection by samples: a lock may have been held for up
/// to two intervals less than is said.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LocksHeld {
    /// The file's version.
    pub version: i64,
    /// There or back.
    pub direction: Direction,
    /// The locks on relations that were there before, and that keep others from reading or writing.
    pub locks: Vec<LockHeld>,
    /// The tables whose rows were all written anew.
    pub rewritten: Vec<String>,
}

/// One kind of lock on one relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockHeld {
    /// Schema and name.
    pub relation: String,
    /// As `pg_locks` names it.
    pub mode: String,
    /// The longest time without a pause.
    pub longest_ms: u64,
    /// The most sessions that waited for the relation at once.
    pub waiting: u64,
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Look at this.
    Warn,
}

/// How a step or a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Done.
    Done,
    /// Done, with something to look at.
    Warned,
    /// Not done, for a reason that is no failure.
    Skipped,
    /// Tried, and failed.
    Failed,
    /// A gate or a check said no.
    Refused,
    /// The user interrupted it.
    Interrupted,
}

impl Outcome {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Warned => "warned",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

/// See [`EventKind::RunFinished`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunFinished {
    /// How.
    pub outcome: Outcome,
    /// What the process ends with.
    pub exit_code: u8,
    /// How long all of it took.
    pub duration_ms: u64,
    /// What went wrong, and what to do about it.
    pub error: Option<ErrorText>,
    /// What to run next.
    pub next: Option<String>,
}

/// An error for people.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ErrorText {
    /// What happened.
    pub message: String,
    /// The line of the user's file with a mark under the place, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where it is to be mended, where that is one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<FilePlace>,
}

/// Takes events and does something with them.
pub trait Reporter: Send {
    /// Takes one.
    ///
    /// # Errors
    /// When it can no longer write; it is then left out, and the others go on.
    fn report(&mut self, event: &Event) -> io::Result<()>;
}

/// Gives events to all reporters. Clones give to the same ones.
#[derive(Clone, Default)]
pub struct Emitter {
    audience: Arc<Mutex<Audience>>,
}

#[derive(Default)]
struct Audience {
    reporters: Vec<Box<dyn Reporter>>,
    failures: Vec<String>,
}

impl Emitter {
    /// An emitter that nobody listens to yet.
    #[must_use]
    pub fn new(reporters: Vec<Box<dyn Reporter>>) -> Self {
        Self { audience: Arc::new(Mutex::new(Audience { reporters, failures: Vec::new() })) }
    }

    /// Says it to everybody.
    pub fn emit(&self, kind: EventKind) {
        let event = Event { format: FORMAT, at: Utc::now(), kind };
        let mut audience = self.audience.lock().unwrap_or_else(PoisonError::into_inner);
        let Audience { reporters, failures } = &mut *audience;
        // One sick reporter does not silence the others.
        reporters.retain_mut(|reporter| match reporter.report(&event) {
            Ok(()) => true,
            Err(error) => {
                failures.push(error.to_string());
                false
            }
        });
    }

    /// What reporters that could no longer write said.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.audience.lock().unwrap_or_else(PoisonError::into_inner).failures.clone()
    }

    /// A sentence that is good to know.
    pub fn info(&self, text: impl Into<String>) {
        self.emit(EventKind::Note { level: Level::Info, text: text.into() });
    }

    /// Says for whom a run waits, and for how long at the most.
    pub fn waits_for_run(&self, most: Duration) -> impl FnOnce(String) + Send + '_ {
        move |holder| {
            self.info(format!("waiting for another run, for at most {}: {holder}", humantime::format_duration(most)));
        }
    }

    /// A sentence to look at.
    pub fn warn(&self, text: impl Into<String>) {
        self.emit(EventKind::Note { level: Level::Warn, text: text.into() });
    }
}

/// Milliseconds since then.
#[must_use]
pub fn milliseconds(since: std::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
