//! Another step while clients read and write the same database, as the traffic files say.

use async_trait::async_trait;

use super::clients::Clients;
use super::step::{Step, StepReport};
use crate::context::Context;
use crate::error::Result;
use crate::event::{EventKind, Outcome, TrafficDone};
use crate::report::format::{count, milliseconds_of};
use crate::traffic::TrafficError;

/// See the module.
pub struct UnderTraffic {
    /// What is done meanwhile.
    pub step: Box<dyn Step>,
    /// The version where it begins, or ends when it goes back.
    pub lower: i64,
    /// The version at its other end.
    pub upper: i64,
}

#[async_trait]
impl Step for UnderTraffic {
    fn name(&self) -> &'static str {
        "traffic"
    }

    fn title(&self) -> &'static str {
        "the same while clients read and write"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let Self { lower, upper, .. } = *self;
        let statements: Vec<_> =
            cx.workspace.traffic.iter().filter(|traffic| traffic.works_over(lower, upper)).cloned().collect();
        if statements.is_empty() {
            let report = self.step.run(cx).await?;
            let summary = format!(
                "{}; no traffic file has a statement that works from version {lower} to {upper}",
                report.summary
            );
            return Ok(StepReport::warned(summary));
        }
        let clients = Clients::start(cx, statements).await?;
        let done = self.step.run(cx).await;
        let served = clients.stop().await;
        let done = done?;
        let served = served?;
        let patience = cx.workspace.config.traffic.patience;
        let failed: Vec<String> = served.iter().filter_map(|done| complaint(done, patience)).collect();
        let runs: u64 = served.iter().map(|done| done.runs).sum();
        let longest = served.iter().map(|done| done.longest_us).max().unwrap_or_default();
        for done in served {
            cx.events.emit(EventKind::Traffic(done));
        }
        if !failed.is_empty() {
            return Err(TrafficError::NotServed { failed }.into());
        }
        let summary = format!(
            "{}; meanwhile clients ran {} statements, the slowest took {}",
            done.summary,
            count(runs),
            milliseconds_of(longest)
        );
        Ok(StepReport { outcome: if runs == 0 { Outcome::Warned } else { done.outcome }, summary })
    }
}

fn complaint(done: &TrafficDone, patience: std::time::Duration) -> Option<String> {
    let TrafficDone { name, place, runs, errors, error, longest_us, .. } = done;
    if *errors > 0 {
        let words = error.as_deref().unwrap_or("no reason was given");
        return Some(format!("`{name}` ({place}) failed {} of {} times: {words}", count(*errors), count(*runs)));
    }
    let held = u128::from(*longest_us) > patience.as_micros();
    held.then(|| format!("`{name}` ({place}) was held for {}", milliseconds_of(*longest_us)))
}
