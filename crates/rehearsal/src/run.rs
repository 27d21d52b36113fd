//! The one loop: announce the steps, run them in order, end with one terminal event.

use std::time::Instant;

use crate::context::{Context, Keep};
use crate::error::{Error, Kind, Result};
use crate::event::{ErrorText, EventKind, MigrationDigest, Outcome, RunFinished, RunStarted, StepName, milliseconds};
use crate::postgres::schema::hex;
use crate::providers::sandbox::Kept;
use crate::source::Migration;
use crate::steps::up_to_date::UpToDate;
use crate::steps::{Step, StepReport};
use crate::target::{SANDBOX, Target};

/// What is to be done, and under which name.
pub struct Command {
    /// `rehearse`, `migrate` …
    pub name: &'static str,
    /// The target's name; `sandbox` when there is none.
    pub target: String,
    /// The release, if one was named.
    pub release: Option<String>,
    /// The steps, in order.
    pub steps: Vec<Box<dyn Step>>,
    /// What to run next when all went well.
    pub next: Option<String>,
    /// What to run when it did not, where the same command would mean something else by then.
    pub retry: Option<String>,
}

impl Command {
    /// All that it does is to say that there is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.steps.iter().all(|step| step.name() == UpToDate::NAME)
    }
}

/// The time, as names of runs and files carry it: in UTC, and in an order that sorts. To the
/// millisecond, because two quick runs within one second have an order too.
#[must_use]
pub fn timestamp() -> String {
    chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ").to_string()
}

/// A fresh name for a run: the time, the command, and a few letters against collisions.
#[must_use]
pub fn run_id(command: &str) -> String {
    let letters: String = std::iter::repeat_with(fastrand::alphanumeric).take(6).collect();
    format!("{}-{command}-{}", timestamp(), letters.to_lowercase())
}

/// Runs the steps until one fails, and then those that are always run. Whatever happens, the sandbox is removed (or kept, where that was
/// asked for) and the last event is [`EventKind::RunFinished`].
///
/// # Errors
/// That of the first step that failed.
pub async fn run(command: &Command, cx: &mut Context) -> Result<()> {
    let began = Instant::now();
    cx.events.emit(EventKind::RunStarted(RunStarted {
        run_id: cx.run_id.clone(),
        command: command.name.into(),
        target: command.target.clone(),
        release: command.release.clone(),
        tool: env!("CARGO_PKG_VERSION").into(),
        commit: cx.workspace.commit.clone(),
        migrations: cx.workspace.migrations.iter().map(digest).collect(),
        steps: command
            .steps
            .iter()
            .map(|step| StepName {
                name: step.name().into(),
                title: step.title().into(),
                planned_ms: cx.planned.get(step.name()).copied(),
            })
            .collect(),
    }));
    let outcome = run_steps(command, cx).await;
    let kept = settle_sandbox(cx, outcome.is_err()).await;
    let error = outcome.as_ref().err();
    cx.events.emit(EventKind::RunFinished(RunFinished {
        outcome: match error {
            None => *outcome.as_ref().unwrap_or(&Outcome::Done),
            Some(error) => outcome_of(error),
        },
        exit_code: error.map_or(Kind::EXIT_DONE, |error| error.kind().exit_code()),
        duration_ms: milliseconds(began),
        error: error.map(|error| ErrorText {
            message: error.to_string(),
            excerpt: error.excerpt().map(str::to_owned),
            hint: error.hint(),
            place: error.place(),
        }),
        next: kept.or_else(|| if error.is_none() { command.next.clone() } else { command.retry.clone() }),
    }));
    outcome.map(drop)
}

/// What a migration is known by in records and answers.
#[must_use]
pub fn digest(migration: &Migration) -> MigrationDigest {
    MigrationDigest {
        version: migration.version,
        up: hex(&migration.up.checksum),
        down: migration.down.as_ref().map(|down| hex(&down.checksum)),
    }
}

async fn run_steps(command: &Command, cx: &mut Context) -> Result<Outcome> {
    let mut overall = Ok(Outcome::Done);
    let mut has_begun = false;
    for (index, step) in command.steps.iter().enumerate() {
        if overall.is_ok() && cx.cancel.is_cancelled() {
            overall = Err(Error::Interrupted);
        }
        // Where nothing has begun there is nothing to put back either.
        if overall.is_err() && !(has_begun && step.always()) {
            continue;
        }
        cx.so_far = overall.as_ref().map_or_else(outcome_of, |outcome| *outcome);
        has_begun = true;
        let began = Instant::now();
        cx.events.emit(EventKind::StepStarted { index });
        let result = step.run(cx).await;
        let (outcome, summary) = match &result {
            Ok(StepReport { outcome, summary }) => (*outcome, summary.clone()),
            Err(error) => (outcome_of(error), error.to_string()),
        };
        cx.events.emit(EventKind::StepFinished { index, outcome, summary, duration_ms: milliseconds(began) });
        overall = match (overall, result) {
            (Err(first), _) => Err(first),
            (Ok(_), Err(error)) => Err(error),
            (Ok(_), Ok(_)) if outcome == Outcome::Warned => Ok(Outcome::Warned),
            (before, Ok(_)) => before,
        };
    }
    overall
}

fn outcome_of(error: &Error) -> Outcome {
    match error.kind() {
        Kind::Interrupted => Outcome::Interrupted,
        Kind::Refused => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

/// Removes the sandbox, or keeps it where that was asked for and tells how to look at it.
async fn settle_sandbox(cx: &mut Context, failed: bool) -> Option<String> {
    let sandbox = cx.take_sandbox()?;
    let keep = match cx.settings.keep {
        Keep::Always => true,
        Keep::OnFailure => failed,
        Keep::Never => false,
    };
    if !keep || cx.cancel.is_cancelled() {
        sandbox.remove().await;
        return None;
    }
    let database =
        cx.target().ok().filter(|target| target.name() == SANDBOX).map_or("postgres", Target::database).to_owned();
    match sandbox.keep().await {
        Ok(kept) => kept.map(|Kept { connect, remove }| {
            format!("look at the sandbox with `{connect} {database}`, and remove it with `{remove}`")
        }),
        Err(error) => {
            cx.events.warn(format!("the sandbox could not be kept: {error}"));
            None
        }
    }
}
