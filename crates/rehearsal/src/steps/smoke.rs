//! Sends the smoke tests to a service: one that runs, or one that is started on a copy of the database.
//!
//! On a copy, because requests write: what is compared with before must not see it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::context::Context;
use crate::error::Result;
use crate::report::format::plural;
use crate::smoke::SmokeError;
use crate::smoke::client::{self, Tally};
use crate::smoke::request::SmokeTest;
use crate::smoke::service::{Service, log_path};
use crate::smoke::subject::{Place, Program, Subject};

/// The copy that a service is started on.
const COPY: &str = "rehearsal_smoke";

/// See the module.
pub struct Smoke {
    /// The service.
    pub subject: Arc<Subject>,
}

#[async_trait]
impl Step for Smoke {
    fn name(&self) -> &'static str {
        "smoke"
    }

    fn title(&self) -> &'static str {
        "send the smoke tests to the service"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let subject = &self.subject;
        let workspace = Arc::clone(&cx.workspace);
        let tests: Vec<&SmokeTest> = workspace
            .config
            .smoke
            .iter()
            .filter(|test| test.applies(subject.version, subject.release.as_deref()))
            .collect();
        if tests.is_empty() {
            let (label, version) = (&subject.label, subject.version);
            return Ok(StepReport::skipped(format!("no smoke test is for {label} at version {version}")));
        }
        let (tally, log) = match &subject.place {
            Place::Running(root) => {
                let tally = client::run(&tests, root, &subject.label, &subject.secrets, &cx.events, &cx.cancel).await?;
                (tally, None)
            }
            Place::Started(program) => {
                let (tally, log) = on_a_copy(cx, subject, program, &tests).await?;
                (tally, Some(log))
            }
        };
        let Tally { total, failed } = tally;
        if failed.is_empty() {
            return Ok(StepReport::done(format!("{}: {} passed", subject.label, plural(total as u64, "smoke test"))));
        }
        Err(SmokeError::Failed { failed, total, log, is_of_later: self.subject.is_of_later }.into())
    }
}

async fn on_a_copy(
    cx: &mut Context,
    subject: &Subject,
    program: &Program,
    tests: &[&SmokeTest],
) -> Result<(Tally, PathBuf)> {
    let log = log_path(&cx.workspace.config.records.to, &cx.run_id, &subject.label);
    let (original, cancel, events) = (cx.target()?.clone(), cx.cancel.clone(), cx.events.clone());
    let sandbox = cx.sandbox(None, None).await?;
    let copy = sandbox.copy_database(&original, COPY, &cancel).await?;
    // A service that guards itself gets its own secrets; those of the tests come from the same place.
    let secrets = subject.secrets.with_random(&program.app.secrets);
    let service = Service::start(program, &copy, &secrets, &log, &cancel).await?;
    let outcome = client::run(tests, service.root(), &subject.label, &secrets, &events, &cancel).await;
    service.stop().await;
    let tally = outcome?;
    // After a failure it stays as long as the sandbox does, to be looked at.
    if tally.failed.is_empty() {
        sandbox.drop_database(COPY, &cancel).await?;
    }
    Ok((tally, log))
}
