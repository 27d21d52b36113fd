//! A run as people watch it: steps announced first, live progress at a terminal, a table at the end.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::format::{bytes, count, duration, harmless, milliseconds_of, plural, shortened, wrapped};
use crate::event::{
    CheckDone, CheckOutcome, Event, EventKind, HookDone, Level, LocksHeld, NoticeHeard, Outcome, Progress, Reporter,
    RunFinished, RunStarted, SmokeDone, StatementDone, StepName, TrafficDone,
};
use crate::schema_change::SchemaChange;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and the last line.
    Quiet,
    /// Steps and what matters in them.
    Normal,
    /// Every statement and check.
    Verbose,
}

/// How it looks.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// How much is told.
    pub verbosity: Verbosity,
    /// Escape sequences for colours.
    pub color: bool,
    /// A line that moves. Only for a terminal.
    pub progress: bool,
    /// How many characters a line of the terminal takes. Elsewhere lines are not broken: programs read them.
    pub width: Option<usize>,
}

/// Where a step's figure begins on its line, and in the table at the end.
const FIGURE_COLUMN: usize = 28;
const TABLE_COLUMN: usize = 38;

/// How wide a finding is shown at most.
const FOUND: usize = 100;

/// A lock that is held for longer is told unasked: the first `lock_timeout` of a release's own
/// statements, so what we would not wait for ourselves.
const LONG_LOCK_MS: u64 = 200;

/// Where fewer characters than this are left, breaking lines makes them no easier to read.
const NARROWEST: usize = 30;

/// Writes to a terminal, or plain lines to anything else.
pub struct Terminal<W> {
    out: W,
    style: Style,
    steps: Vec<StepName>,
    finished: Vec<(usize, Outcome, String, u64)>,
    bar: Option<ProgressBar>,
    began: Option<(String, std::time::Instant)>,
}

impl<W: Write + Send> Terminal<W> {
    /// A reporter that writes to `out`; the moving line goes to stderr.
    pub fn new(out: W, style: Style) -> Self {
        Self { out, style, steps: Vec::new(), finished: Vec::new(), bar: None, began: None }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn mark(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Done => self.paint("32", "✓"),
            Outcome::Warned => self.paint("33", "!"),
            Outcome::Skipped => self.paint("2", "-"),
            Outcome::Failed | Outcome::Refused => self.paint("31", "✗"),
            Outcome::Interrupted => self.paint("33", "■"),
        }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.suspend(|| {
                writeln!(self.out, "{text}")?;
                self.out.flush()
            })
        } else {
            writeln!(self.out, "{text}")?;
            self.out.flush()
        }
    }

    /// A text that begins in that column, and stays right of it where it needs several lines.
    fn hanging(&self, column: usize, text: &str) -> String {
        match self.style.width {
            Some(width) if width >= column + NARROWEST && column + text.chars().count() > width => {
                wrapped(text, width - column).join(&format!("\n{:column$}", ""))
            }
            _ => text.to_owned(),
        }
    }

    fn at_least(&self, verbosity: Verbosity) -> bool {
        self.style.verbosity >= verbosity
    }

    fn started(&mut self, run: &RunStarted) -> io::Result<()> {
        self.steps.clone_from(&run.steps);
        let release = run.release.as_ref().map_or_else(String::new, |release| format!(" · release {release}"));
        let names: Vec<&str> = run.steps.iter().map(|step| step.name.as_str()).collect();
        let title = self.paint("1", &format!("{} · {}{release}", run.command, run.target));
        self.line(&title)?;
        let steps = self.hanging(2, &names.join(" → "));
        let steps = self.paint("2", &format!("  {steps}"));
        self.line(&steps)
    }

    fn step_started(&mut self, index: usize) -> io::Result<()> {
        let Some(step) = self.steps.get(index).cloned() else { return Ok(()) };
        self.began = None;
        if self.style.progress {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let template = ProgressStyle::with_template("  {spinner} {prefix:<12} {elapsed} {msg}");
            bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(step.name);
            bar.set_message(step.title);
            bar.enable_steady_tick(Duration::from_millis(100));
            self.bar = Some(bar);
        }
        Ok(())
    }

    fn progress(&mut self, progress: &Progress) {
        let fresh = self.began.as_ref().is_none_or(|(what, _)| *what != progress.what);
        if fresh {
            self.began = Some((progress.what.clone(), std::time::Instant::now()));
        }
        let (Some(bar), Some((_, began))) = (&self.bar, &self.began) else { return };
        bar.set_message(progress_line(progress, began.elapsed()));
    }

    fn statement(&mut self, done: &StatementDone) -> io::Result<()> {
        // The server counts what a SELECT gives as well, and nobody waits for that.
        let reads = done.summary.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"));
        let noteworthy = (done.rows > 0 && !reads) || done.batches.is_some() || done.already_done || done.retries > 0;
        if !self.at_least(if noteworthy { Verbosity::Normal } else { Verbosity::Verbose }) {
            return Ok(());
        }
        let mut figures = vec![duration(done.duration_ms)];
        if done.rows > 0 {
            figures.push(plural(done.rows, "row"));
        }
        if let Some(batches) = done.batches {
            figures.push(format!(
                "{batches} batches, the longest {}",
                duration(done.longest_batch_ms.unwrap_or_default())
            ));
            let paused: u64 = done.pauses.iter().map(|paused| paused.duration_ms).sum();
            let busy = done.duration_ms.saturating_sub(paused);
            if let Some(rate) = (done.rows * 1000).checked_div(busy) {
                figures.push(format!("{} rows/s", count(rate)));
            }
        }
        if let Some(held_up) = done.held_up.filter(|batches| *batches > 0) {
            figures.push(format!("somebody waited for {held_up} of them"));
        }
        for paused in &done.pauses {
            figures.push(format!("paused {} {}", duration(paused.duration_ms), paused.reason.as_str()));
        }
        if done.retries > 0 {
            figures.push(plural(done.retries.into(), "retry").replace("retrys", "retries"));
        }
        if done.already_done {
            figures.push("done by an earlier run".into());
        }
        let place = format!("      {}:{} ", done.version, done.line);
        let text = format!("{} — {}", shortened(&done.summary, FOUND), figures.join(", "));
        let text = self.hanging(place.chars().count(), &text);
        let text = self.paint("2", &format!("{place}{text}"));
        self.line(&text)
    }

    fn notice(&mut self, heard: &NoticeHeard) -> io::Result<()> {
        if !self.at_least(Verbosity::Normal) {
            return Ok(());
        }
        let NoticeHeard { version, line, notice, .. } = heard;
        let text = format!("{version}:{line} {}: {}", notice.severity.as_str(), shortened(&notice.text, usize::MAX));
        let mark = if notice.severity.is_warning() { self.paint("33", "!") } else { self.paint("2", "·") };
        self.line(&format!("      {mark} {text}"))
    }

    fn check(&mut self, check: &CheckDone) -> io::Result<()> {
        let (mark, at) = match (check.outcome, check.severity) {
            (CheckOutcome::Failed, crate::check::Severity::Error) => (self.paint("31", "✗"), Verbosity::Quiet),
            (CheckOutcome::Failed, crate::check::Severity::Warn) => (self.paint("33", "!"), Verbosity::Normal),
            (CheckOutcome::NotJudged, _) => (self.paint("33", "?"), Verbosity::Normal),
            (CheckOutcome::Passed, _) => (self.paint("32", "✓"), Verbosity::Verbose),
            (CheckOutcome::Reported, _) => (self.paint("2", "·"), Verbosity::Verbose),
        };
        if !self.at_least(at) {
            return Ok(());
        }
        let before =
            check.before.as_ref().map_or_else(String::new, |before| format!(" (before: {})", shortened(before, FOUND)));
        self.line(&format!(
            "      {mark} {} — expected {}, found {}{before} [{}]",
            check.name,
            check.expectation,
            shortened(&check.found, FOUND),
            check.place
        ))
    }

    fn smoke(&mut self, smoke: &SmokeDone) -> io::Result<()> {
        if !self.at_least(if smoke.passed { Verbosity::Verbose } else { Verbosity::Quiet }) {
            return Ok(());
        }
        let mark = if smoke.passed { self.paint("32", "✓") } else { self.paint("31", "✗") };
        let SmokeDone { service, name, request, .. } = smoke;
        let status = smoke.status.map_or_else(|| "no answer".into(), |status| format!("status {status}"));
        self.line(&format!("      {mark} {service}: {name} — {request}, {status}, {}", duration(smoke.duration_ms)))?;
        smoke.complaints.iter().try_for_each(|complaint| self.line(&format!("        {complaint}")))
    }

    fn hook(&mut self, hook: &HookDone) -> io::Result<()> {
        if !self.at_least(if hook.exit == Some(0) { Verbosity::Verbose } else { Verbosity::Quiet }) {
            return Ok(());
        }
        let cut = if hook.more { "… " } else { "" };
        let text = self.paint("2", &format!("      {} — {}; it wrote: {cut}", hook.command, hook.ending));
        self.line(text.trim_end())?;
        hook.output.iter().try_for_each(|line| self.line(&format!("        {line}")))
    }

    fn traffic(&mut self, done: &TrafficDone) -> io::Result<()> {
        if !self.at_least(Verbosity::Verbose) {
            return Ok(());
        }
        let text = format!(
            "      {} ({} code): {} runs, {} failed; median {}, 99 % within {}, the longest {}",
            done.name,
            done.code.as_str(),
            count(done.runs),
            count(done.errors),
            milliseconds_of(done.median_us),
            milliseconds_of(done.most_us),
            milliseconds_of(done.longest_us)
        );
        let text = self.paint("2", &text);
        self.line(&text)
    }

    fn locks(&mut self, held: &LocksHeld) -> io::Result<()> {
        for lock in &held.locks {
            let long = lock.longest_ms >= LONG_LOCK_MS;
            if self.at_least(if long { Verbosity::Normal } else { Verbosity::Verbose }) {
                let mark = if long { self.paint("33", "!") } else { self.paint("2", "·") };
                let (mode, relation, longest) = (&lock.mode, &lock.relation, duration(lock.longest_ms));
                self.line(&format!("      {mark} version {} held {mode} on {relation} for {longest}", held.version))?;
            }
        }
        if !self.at_least(Verbosity::Normal) {
            return Ok(());
        }
        held.rewritten.iter().try_for_each(|table| {
            let mark = self.paint("33", "!");
            self.line(&format!("      {mark} version {} wrote every row of {table} anew", held.version))
        })
    }

    fn step_finished(&mut self, index: usize, outcome: Outcome, summary: &str, time: u64) -> io::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.finished.push((index, outcome, summary.to_owned(), time));
        if !self.at_least(Verbosity::Normal) {
            return Ok(());
        }
        let name = self.steps.get(index).map_or("", |step| step.name.as_str()).to_owned();
        let mark = self.mark(outcome);
        let figure = self.hanging(FIGURE_COLUMN, &shown(outcome, summary));
        self.line(&format!("  {mark} {name:<12} {:>9}  {figure}", duration(time)))
    }

    fn finished(&mut self, finished: &RunFinished) -> io::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.at_least(Verbosity::Normal) && self.steps.len() > 1 {
            self.table()?;
        }
        if let Some(error) = &finished.error {
            let message = self.paint("31", "error:");
            self.line(&format!("{message} {}", harmless(&error.message)))?;
            for line in error.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
                self.line(&harmless(line))?;
            }
            if let Some(hint) = &error.hint {
                let next = self.paint("36", " what to do:");
                self.line(&format!("{next} {}", harmless(hint)))?;
            }
        } else {
            let mark = self.mark(finished.outcome);
            self.line(&format!("{mark} {} in {}", finished.outcome.as_str(), duration(finished.duration_ms)))?;
        }
        if let Some(next) = finished.next.as_ref().filter(|_| self.at_least(Verbosity::Normal)) {
            self.line(&format!("  next: {next}"))?;
        }
        Ok(())
    }

    fn table(&mut self) -> io::Result<()> {
        let rows: Vec<(String, Outcome, String, u64, Option<u64>)> = self
            .finished
            .iter()
            .map(|(index, outcome, summary, time)| {
                let step = self.steps.get(*index);
                let name = step.map_or("", |step| step.name.as_str());
                (name.to_owned(), *outcome, summary.clone(), *time, step.and_then(|step| step.planned_ms))
            })
            .collect();
        // Where nothing is known of a rehearsal, no column waits for it.
        let is_planned = rows.iter().any(|(.., planned)| planned.is_some());
        let beside = |text: &str| if is_planned { format!("{text:>10}  ") } else { String::new() };
        self.line("")?;
        let head = format!("  {:<12} {:<11} {:>9}  {}{}", "step", "outcome", "time", beside("rehearsed"), "figure");
        let head = self.paint("1", &head);
        self.line(&head)?;
        for (name, outcome, summary, time, planned) in rows {
            let code = match outcome {
                Outcome::Done => "32",
                Outcome::Skipped => "2",
                Outcome::Warned | Outcome::Interrupted => "33",
                Outcome::Failed | Outcome::Refused => "31",
            };
            let painted = self.paint(code, &format!("{:<11}", outcome.as_str()));
            let planned = beside(&planned.map_or_else(String::new, duration));
            let figure = self.hanging(TABLE_COLUMN + planned.chars().count(), &shown(outcome, &summary));
            self.line(&format!("  {name:<12} {painted} {:>9}  {planned}{figure}", duration(time)))?;
        }
        self.line("")
    }
}

/// A step's figure. What went wrong is told in full by the last lines, and here only begun.
fn shown(outcome: Outcome, summary: &str) -> String {
    match outcome {
        Outcome::Failed | Outcome::Refused => shortened(summary, FOUND),
        _ => shortened(summary, usize::MAX),
    }
}

/// `1,234,000 of 2,000,000 rows (61 %) · 310,000 rows/s · 2.5 s left · migrations/3_x.up.sql:4`.
fn progress_line(progress: &Progress, elapsed: Duration) -> String {
    let show = |number: u64| if progress.unit == "bytes" { bytes(number) } else { count(number) };
    let unit = if progress.unit == "bytes" { String::new() } else { format!(" {}", progress.unit) };
    let mut parts = vec![match progress.total {
        Some(total) => {
            let share = progress.done.saturating_mul(100).checked_div(total).unwrap_or(100);
            format!("{} of {}{unit} ({share} %)", show(progress.done), show(total))
        }
        None => format!("{}{unit}", show(progress.done)),
    }];
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let rate = progress.per_second.or_else(|| progress.done.saturating_mul(1000).checked_div(elapsed_ms));
    if let Some(rate) = rate.filter(|rate| *rate > 0) {
        parts.push(format!("{}{unit}/s", show(rate)));
        let left = |total: u64| total.saturating_sub(progress.done).saturating_mul(1000) / rate;
        if let Some(left) = progress.left_ms.or_else(|| progress.total.map(left)) {
            parts.push(format!("{} left", duration(left)));
        }
    }
    parts.push(progress.what.clone());
    parts.join(" · ")
}

impl<W: Write + Send> Reporter for Terminal<W> {
    fn report(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted(run) if self.at_least(Verbosity::Normal) => self.started(run),
            EventKind::RunStarted(run) => {
                self.steps.clone_from(&run.steps);
                Ok(())
            }
            EventKind::StepStarted { index } => self.step_started(*index),
            EventKind::Progress(progress) => {
                self.progress(progress);
                Ok(())
            }
            EventKind::SandboxStarted { reasons, .. } if self.at_least(Verbosity::Normal) => {
                reasons.iter().try_for_each(|reason| {
                    let text = self.paint("2", &format!("      not {reason}"));
                    self.line(&text)
                })
            }
            EventKind::Statement(done) => self.statement(done),
            EventKind::Notice(heard) => self.notice(heard),
            EventKind::Check(check) => self.check(check),
            EventKind::Smoke(smoke) => self.smoke(smoke),
            EventKind::Hook(hook) => self.hook(hook),
            EventKind::Answer(answer) if self.at_least(Verbosity::Verbose) => {
                let at = answer.at.format("%Y-%m-%d %H:%M UTC");
                let text = self.paint("2", &format!("      {} — yes, {}, {at}", answer.ask, answer.by));
                self.line(&text)
            }
            EventKind::Traffic(done) => self.traffic(done),
            EventKind::Locks(held) => self.locks(held),
            EventKind::Loss { what: name, amount: value } | EventKind::Figure { name, value }
                if self.at_least(Verbosity::Verbose) =>
            {
                let text = self.paint("2", &format!("      {name}: {value}"));
                self.line(&text)
            }
            EventKind::Schema { changes } if self.at_least(Verbosity::Verbose) => {
                let told =
                    |change: &SchemaChange| format!("      schema: {} {}", change.became.as_str(), change.object);
                let lines: Vec<String> = changes.iter().map(told).collect();
                lines.iter().try_for_each(|line| {
                    let text = self.paint("2", line);
                    self.line(&text)
                })
            }
            EventKind::Note { level: Level::Warn, text } if self.at_least(Verbosity::Normal) => {
                let mark = self.paint("33", "!");
                self.line(&format!("      {mark} {text}"))
            }
            EventKind::Note { text, .. } if self.at_least(Verbosity::Normal) => {
                let text = self.paint("2", &format!("      {text}"));
                self.line(&text)
            }
            EventKind::StepFinished { index, outcome, summary, duration_ms } => {
                self.step_finished(*index, *outcome, summary, *duration_ms)
            }
            EventKind::RunFinished(finished) => self.finished(finished),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(width: Option<usize>, summary: &str) -> String {
        let mut out = Vec::new();
        let style = Style { verbosity: Verbosity::Normal, color: false, progress: false, width };
        let mut terminal = Terminal::new(&mut out, style);
        terminal.step_finished(0, Outcome::Done, summary, 5).expect("it is written");
        terminal.table().expect("it is written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn lines_fit_into_a_terminal_and_are_whole_elsewhere() {
        let summary = "as many words as a summary may have ".repeat(6);
        for width in [70, 80, 120] {
            let text = step(Some(width), &summary);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert_eq!(text.matches("summary").count(), 12, "{text}");
            let broken = text.lines().filter(|line| line.starts_with(&" ".repeat(FIGURE_COLUMN)));
            assert!(broken.count() >= 2, "{text}");
        }
        let whole = step(None, &summary);
        assert!(whole.lines().any(|line| line.chars().count() > 200), "{whole}");
        // In a terminal too narrow for both, a line is the terminal's to break.
        assert_eq!(step(Some(40), &summary), whole);
    }

    #[test]
    fn progress_tells_rate_and_rest() {
        let progress = Progress {
            unit: "rows".into(),
            done: 500,
            total: Some(1_500),
            what: "m.sql:3".into(),
            per_second: None,
            left_ms: None,
        };
        let text = progress_line(&progress, Duration::from_secs(1));
        assert_eq!(text, "500 of 1,500 rows (33 %) · 500 rows/s · 2.0 s left · m.sql:3");
        let told = Progress { per_second: Some(100), left_ms: Some(10_000), ..progress };
        let text = progress_line(&told, Duration::from_secs(1));
        assert_eq!(text, "500 of 1,500 rows (33 %) · 100 rows/s · 10.0 s left · m.sql:3");
    }
}
