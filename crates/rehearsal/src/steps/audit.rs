//! Looks at the database before the release, so that there is something to compare with after it.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use super::{checking, observe};
use crate::context::Context;
use crate::error::Result;
use crate::event::{CheckOutcome, EventKind};
use crate::postgres::history::History;
use crate::report::format::plural;

/// See the module.
pub struct Audit;

#[async_trait]
impl Step for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn title(&self) -> &'static str {
        "note what the database looks like before the release"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect("audit").await?;
        let history = History::read(&mut session, &cx.workspace.config.history_table).await?;
        let mut observation = observe::read(cx, &mut session).await?;
        observation.unfinished = history.unfinished().map(|applied| applied.version);
        let timeout = cx.workspace.config.limits.check_timeout;
        let mut failed = 0u64;
        for check in &cx.workspace.checks {
            if !check.applies(|version| history.is_applied(version)) {
                continue;
            }
            let finding = checking::run(&mut session, check, None, timeout).await?;
            if let Some(seen) = finding.seen {
                observation.checks.insert(check.name.clone(), seen);
            }
            // Nothing has been done yet that a check could be about: what does not hold is told, no more.
            if finding.done.outcome == CheckOutcome::Failed {
                failed += 1;
            }
            if finding.done.outcome != CheckOutcome::NotJudged {
                cx.events.emit(EventKind::Check(finding.done));
            } else {
                cx.events.emit(EventKind::Check(crate::event::CheckDone {
                    outcome: CheckOutcome::Reported,
                    ..finding.done
                }));
            }
        }
        session.close().await;
        let seen = observation.checks.len() as u64;
        let contents = observation.contents.as_ref().map_or_else(String::new, |contents| {
            let rows: u64 = contents.values().map(|fingerprint| fingerprint.rows).sum();
            format!(", {} in {}", plural(rows, "row"), plural(contents.len() as u64, "table"))
        });
        cx.before = Some(observation);
        let summary = format!("{}{contents}", plural(seen, "check"));
        if failed > 0 {
            return Ok(StepReport::warned(format!("{summary}; {failed} do not hold even before the release")));
        }
        Ok(StepReport::done(summary))
    }
}
