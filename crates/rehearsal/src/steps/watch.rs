//! Looks again and again for a while: the checks, and what the service writes into its logs. The first
//! bad news ends it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use regex::RegexSet;

use super::checking;
use super::step::{Step, StepReport};
use crate::check::{CheckError, Severity};
use crate::config::WatchConfig;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{CheckOutcome, EventKind, Progress};
use crate::log_tail::LogTail;
use crate::postgres::history::History;
use crate::postgres::query::Stopped;
use crate::report::format::{plural, shortened};

/// How much of a log line is shown.
const LINE: usize = 200;

/// See the module.
pub struct Watch {
    /// How long.
    pub lasts: Duration,
    /// How long from one look to the next.
    pub every: Duration,
}

#[async_trait]
impl Step for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn title(&self) -> &'static str {
        "run the checks and read the logs, again and again"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut logs = Logs::open(&cx.workspace.config.watch)?;
        let deadline = Instant::now() + self.lasts;
        let began = Instant::now();
        let mut seen = BTreeMap::new();
        let mut looks = 0;
        loop {
            look(cx, &mut seen).await?;
            logs.read()?;
            looks += 1;
            cx.events.emit(EventKind::Progress(Progress {
                unit: "s".into(),
                done: began.elapsed().as_secs(),
                total: Some(self.lasts.as_secs()),
                what: plural(looks, "look"),
                per_second: None,
                left_ms: None,
            }));
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(self.every.min(deadline - now)) => {}
                () = cx.cancel.cancelled() => return Err(Error::Interrupted),
            }
        }
        let mut summary = format!("{} of {}, nothing amiss", plural(looks, "look"), plural(seen.len() as u64, "check"));
        if !logs.tails.is_empty() {
            let good = plural(logs.good, "good sign");
            summary += &format!("; {} of logs without a red flag, {good}", plural(logs.lines, "line"));
        }
        Ok(StepReport::done(summary))
    }
}

/// Runs the checks once. What is found is told when it is something else than the last time.
async fn look(cx: &Context, seen: &mut BTreeMap<String, (CheckOutcome, String)>) -> Result<()> {
    let mut session = cx.connect("watch").await?;
    session.go_read_only().await.map_err(Stopped::doing("go read-only"))?;
    let history = History::read(&mut session, &cx.workspace.config.history_table).await?;
    let timeout = cx.workspace.config.limits.check_timeout;
    let (mut failed, mut total) = (Vec::new(), 0);
    for check in &cx.workspace.checks {
        if !check.applies(|version| history.is_applied(version)) {
            continue;
        }
        total += 1;
        let done = checking::run(&mut session, check, cx.before.as_ref(), timeout).await?.done;
        if done.outcome == CheckOutcome::Failed && check.severity == Severity::Error {
            failed.push(check.name.clone());
        }
        let now = (done.outcome, done.found.clone());
        if seen.insert(check.name.clone(), now.clone()).as_ref() != Some(&now) {
            cx.events.emit(EventKind::Check(done));
        }
    }
    session.close().await;
    if failed.is_empty() { Ok(()) } else { Err(CheckError::Failed { failed, total }.into()) }
}

struct Logs {
    tails: Vec<LogTail>,
    red_flags: RegexSet,
    good_signs: RegexSet,
    lines: u64,
    good: u64,
}

impl Logs {
    fn open(config: &WatchConfig) -> Result<Self> {
        let tails = config.logs.iter().map(|path| LogTail::from_end(path)).collect::<Result<_>>()?;
        let (red_flags, good_signs) = (config.red_flags.clone(), config.good_signs.clone());
        Ok(Self { tails, red_flags, good_signs, lines: 0, good: 0 })
    }

    fn read(&mut self) -> Result<()> {
        for tail in &mut self.tails {
            let signs = tail.read(&self.red_flags, &self.good_signs)?;
            self.lines += signs.lines;
            self.good += signs.good;
            if let Some(line) = signs.red.first() {
                let (lines, line) = (signs.red.len(), shortened(line, LINE));
                return Err(CheckError::RedFlag { log: tail.path().into(), lines, line }.into());
            }
        }
        Ok(())
    }
}
