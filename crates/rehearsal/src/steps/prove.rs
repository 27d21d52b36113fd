//! Proves that the target already is what a migration would make of it: the files are run on an empty
//! throwaway database, up to it and then with it, and what it changes there must be in the target.

use std::sync::Arc;

use async_trait::async_trait;

use super::checking;
use super::step::{Step, StepReport};
use crate::apply::Applier;
use crate::check::{Check, Expectation, Severity};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{CheckOutcome, EventKind};
use crate::plan::{self, PlannedFile};
use crate::postgres::history::History;
use crate::postgres::identifier::quote;
use crate::postgres::query::Stopped;
use crate::postgres::schema::Schema;
use crate::postgres::session::Session;
use crate::postgres::{catalog, settings};
use crate::proof::{self, Comparison, ProofError};
use crate::report::format::plural;

/// The throwaway database.
const DATABASE: &str = "rehearsal_proof";

/// How many lines of differences are shown of the objects that the migration makes, and how many
/// phrases of what else differs: a screen each.
const MOST_LINES: usize = 40;
const MOST_ELSEWHERE: usize = 10;

/// See the module.
pub struct Prove {
    /// The version.
    pub version: i64,
    /// What cannot be proven is told, and no more.
    pub force: bool,
}

#[async_trait]
impl Step for Prove {
    fn name(&self) -> &'static str {
        "prove"
    }

    fn title(&self) -> &'static str {
        "compare the target with what the migration makes"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect_and_tell("prove").await?;
        session.go_read_only().await.map_err(Stopped::doing("go read-only"))?;
        let outcome = self.prove(cx, &mut session).await;
        session.close().await;
        outcome
    }
}

impl Prove {
    async fn prove(&self, cx: &mut Context, session: &mut Session) -> Result<StepReport> {
        let history = History::read(session, &cx.workspace.config.history_table).await?;
        let Some(file) = plan::mark(&cx.workspace.migrations, &history, self.version)? else {
            return Ok(StepReport::skipped("it is applied already"));
        };
        let mut doubts = Vec::new();
        let compared = match self.compare(cx, session).await {
            Ok(found) => {
                let different = tell(cx, self.version, &found);
                doubts.extend(different);
                format!("compared in {}", plural(found.touched as u64, "object"))
            }
            // Whoever forces it has no use for a sandbox either.
            Err(error) if self.force && !matches!(error, Error::Interrupted | Error::Connect(_)) => {
                cx.events.warn(format!("nothing was compared: {error}"));
                "nothing was compared".to_owned()
            }
            Err(error) => return Err(error),
        };
        let (checked, doubt) = self.look_at_rows(cx, session, &history, &file).await?;
        doubts.extend(doubt);
        if self.force {
            for doubt in &doubts {
                cx.events.warn(doubt.to_string());
            }
            return Ok(StepReport::warned(format!(
                "{compared}; {} ignored, as told",
                plural(doubts.len() as u64, "doubt")
            )));
        }
        match doubts.into_iter().next() {
            Some(doubt) => Err(doubt.into()),
            None if checked > 0 => Ok(StepReport::warned(format!(
                "{compared}, equal; of its rows there is no proof but {}",
                plural(checked, "check")
            ))),
            None => Ok(StepReport::done(format!("{compared}, equal"))),
        }
    }

    /// Runs the migrations on an empty database, and compares what this one changes with the target.
    async fn compare(&self, cx: &mut Context, session: &mut Session) -> Result<Comparison> {
        let overview = catalog::overview(session).await?;
        let surroundings = catalog::surroundings(session, &overview).await?;
        let target = cx.target()?.clone();
        let cancel = cx.cancel.clone();
        let sandbox = cx.sandbox(Some(session.version().major), None).await?;
        // Rights are given to roles by their names.
        sandbox.create_roles(&surroundings.roles, &cancel).await?;
        let throwaway = sandbox.create_database(DATABASE, None, &cancel).await?.with_settings_of(&target);
        let mut maintenance = Session::connect(&sandbox.database("postgres"), "prove", &cancel).await?;
        // A search_path decides where the migration puts things.
        let unknown = settings::apply(&mut maintenance, DATABASE, &surroundings.settings).await?;
        maintenance.close().await;
        for setting in unknown {
            cx.events.warn(format!("the sandbox does not take the target's setting {setting}"));
        }
        let there = self.schema(cx, session).await?;
        let mut session = Session::connect(&throwaway, "prove", &cancel).await?;
        if let Some(schema) = &overview.schema {
            // Where new tables go was there before the first file.
            let create = format!("CREATE SCHEMA IF NOT EXISTS {}", quote(schema));
            session.execute(&create).await.map_err(Stopped::doing("prepare the sandbox"))?;
        }
        let earlier = cx.workspace.migrations.iter().map(|migration| migration.version);
        if let Some(earlier) = earlier.filter(|version| *version < self.version).max() {
            self.apply(cx, &mut session, earlier).await?;
        }
        let before = self.schema(cx, &mut session).await?;
        self.apply(cx, &mut session, self.version).await?;
        let after = self.schema(cx, &mut session).await?;
        session.close().await;
        Ok(proof::compare(&before, &after, &there))
    }

    async fn apply(&self, cx: &Context, session: &mut Session, to: i64) -> Result<()> {
        let workspace = Arc::clone(&cx.workspace);
        let (limits, history_table) = (&workspace.config.limits, workspace.config.history_table.as_str());
        Applier::lock(session, limits, &cx.events).await?;
        let plan = plan::up(&workspace.migrations, &History::read(session, history_table).await?, Some(to))?;
        let events = &crate::event::Emitter::default();
        let mut applier =
            Applier { session, events, limits, history_table, run_id: &cx.run_id, alone: true, watch: None };
        let applied = applier.run(&plan).await;
        applied.map_err(|error| match error {
            Error::Statement(_) => ProofError::NoSandbox { version: self.version, reason: error.to_string() }.into(),
            error => error,
        })?;
        Applier::unlock(session).await
    }

    /// Without owners: a throwaway server has others.
    async fn schema(&self, cx: &Context, session: &mut Session) -> Result<Schema> {
        let table = catalog::whole_name(session, &cx.workspace.config.history_table).await?;
        let tools = cx.tools(session.version()).await?;
        Schema::read_without_owners(&tools, session.target(), &table, &cx.cancel).await
    }

    /// What no schema shows is left to the checks that were written for this version.
    async fn look_at_rows(
        &self,
        cx: &Context,
        session: &mut Session,
        history: &History,
        file: &PlannedFile,
    ) -> Result<(u64, Option<ProofError>)> {
        let Some(unseen) = proof::unseen(self.version, &file.script) else { return Ok((0, None)) };
        let is_applied = |version| version == self.version || history.is_applied(version);
        let judges = |check: &&Check| {
            check.since == Some(self.version)
                && check.severity == Severity::Error
                && !matches!(check.expectation, Expectation::Report | Expectation::Unchanged)
                && check.applies(is_applied)
        };
        let (mut failed, mut passed) = (Vec::new(), 0);
        for check in cx.workspace.checks.iter().filter(judges) {
            let done = checking::run(session, check, None, cx.workspace.config.limits.check_timeout).await?.done;
            if done.outcome == CheckOutcome::Passed {
                passed += 1;
            } else {
                failed.push(check.name.clone());
            }
            cx.events.emit(EventKind::Check(done));
        }
        if !failed.is_empty() {
            return Ok((passed, Some(ProofError::ChecksFailed { version: self.version, failed })));
        }
        Ok((passed, (passed == 0).then_some(unseen)))
    }
}

/// Shows what differs, object by object. What the migration has no part in is a note.
fn tell(cx: &Context, version: i64, found: &Comparison) -> Option<ProofError> {
    let objects = found.different.len();
    if objects > 0 {
        cx.events.warn(format!("- is what version {version} makes, + is what the target has"));
        let lines: Vec<&String> = found.different.iter().flatten().collect();
        for line in lines.iter().take(MOST_LINES) {
            cx.events.info((*line).clone());
        }
        if lines.len() > MOST_LINES {
            cx.events.info(format!("and {}", plural((lines.len() - MOST_LINES) as u64, "more line")));
        }
    }
    let elsewhere = &found.elsewhere;
    for phrase in elsewhere.iter().take(MOST_ELSEWHERE) {
        cx.events.info(format!("not of this version, and otherwise than the files say: {phrase}"));
    }
    if elsewhere.len() > MOST_ELSEWHERE {
        cx.events.info(format!("and {} more that are not of this version", elsewhere.len() - MOST_ELSEWHERE));
    }
    (objects > 0).then_some(ProofError::NotEqual { version, objects })
}
