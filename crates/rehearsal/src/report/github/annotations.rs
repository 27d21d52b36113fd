//! Annotations at the lines of the user's files: what failed, and what is worth a look.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::PathBuf;

use super::command::{Annotation, Level, placed};
use crate::check::Severity;
use crate::event::{
    CheckDone, CheckOutcome, Event, EventKind, FilePlace, NoticeHeard, Reporter, RunFinished, TrafficDone,
};
use crate::plan::Direction;
use crate::report::format::plural;

/// GitHub shows ten errors and ten warnings of a step, and drops the others without a word. The last of each is
/// for the end: how the run ended, and how much was left out.
const SHOWN: usize = 9;

/// Writes a workflow command for each of them.
pub struct Annotations<W> {
    out: W,
    /// Where the workspace is in the repository.
    above: PathBuf,
    command: String,
    /// The files that were begun, for what is told by a version.
    paths: HashMap<(i64, Direction), PathBuf>,
    told: HashSet<Annotation>,
    left_out: usize,
}

impl<W: Write + Send> Annotations<W> {
    /// Writes to `out`. `above` is the workspace's folder as seen from the repository's root; empty where both
    /// are one.
    #[must_use]
    pub fn new(out: W, above: PathBuf) -> Self {
        Self { out, above, command: String::new(), paths: HashMap::new(), told: HashSet::new(), left_out: 0 }
    }

    fn tell(&mut self, level: Level, place: &FilePlace, title: String, message: String) -> io::Result<()> {
        let annotation = Annotation { level, place: Some(placed(place, &self.above)), title, message };
        // A rehearsal goes there twice, and would say the same again.
        if self.told.contains(&annotation) {
            return Ok(());
        }
        if self.told.iter().filter(|told| told.level == level).count() == SHOWN {
            self.left_out += 1;
            return Ok(());
        }
        writeln!(self.out, "{annotation}")?;
        self.told.insert(annotation);
        Ok(())
    }

    fn check(&mut self, check: &CheckDone) -> io::Result<()> {
        let (level, how) = match (check.outcome, check.severity) {
            (CheckOutcome::Failed, Severity::Error) => (Level::Error, "failed"),
            (CheckOutcome::Failed, Severity::Warn) => (Level::Warning, "failed"),
            (CheckOutcome::NotJudged, _) => (Level::Warning, "could not be judged"),
            (CheckOutcome::Passed | CheckOutcome::Reported, _) => return Ok(()),
        };
        let Some(place) = place_of(&check.place) else { return Ok(()) };
        let before = check.before.as_ref().map_or_else(String::new, |before| format!(" (before: {before})"));
        let message = format!("expected {}, found {}{before}", check.expectation, check.found);
        self.tell(level, &place, format!("check {} {how}", check.name), message)
    }

    fn traffic(&mut self, done: &TrafficDone) -> io::Result<()> {
        let Some(place) = place_of(&done.place).filter(|_| done.errors > 0) else { return Ok(()) };
        let failed = format!("{} of {} failed", done.errors, plural(done.runs, "run"));
        let message = done.error.as_ref().map_or(failed.clone(), |error| format!("{failed}: {error}"));
        self.tell(Level::Error, &place, format!("{} while the release went out", done.name), message)
    }

    fn notice(&mut self, heard: &NoticeHeard) -> io::Result<()> {
        let Some(path) = self.paths.get(&(heard.version, heard.direction)) else { return Ok(()) };
        let place = FilePlace { path: path.clone(), line: heard.line };
        self.tell(Level::Warning, &place, "the server warns".into(), heard.notice.text.clone())
    }

    fn finished(&mut self, finished: &RunFinished) -> io::Result<()> {
        if self.left_out > 0 {
            let message = format!("{} more; the summary has them all", self.left_out);
            let title = format!("{}: not all is shown", self.command);
            let annotation = Annotation { level: Level::Warning, place: None, title, message };
            writeln!(self.out, "{annotation}")?;
        }
        let Some(error) = &finished.error else { return Ok(()) };
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("\nwhat to do: {hint}"));
        let excerpt = error.excerpt.as_ref().map_or_else(String::new, |excerpt| format!("\n{excerpt}"));
        let annotation = Annotation {
            level: Level::Error,
            place: error.place.as_ref().map(|place| placed(place, &self.above)),
            title: format!("{} {}", self.command, finished.outcome.as_str()),
            message: format!("{}{excerpt}{hint}", error.message),
        };
        writeln!(self.out, "{annotation}")
    }
}

/// `FILE:LINE`, as events name places.
fn place_of(text: &str) -> Option<FilePlace> {
    let (path, line) = text.rsplit_once(':')?;
    Some(FilePlace { path: path.into(), line: line.parse().ok()? })
}

impl<W: Write + Send> Reporter for Annotations<W> {
    fn report(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted(run) => {
                self.command.clone_from(&run.command);
                Ok(())
            }
            EventKind::FileStarted { version, direction, path, .. } => {
                self.paths.insert((*version, *direction), path.into());
                Ok(())
            }
            EventKind::Finding(finding) => {
                let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
                let message = format!("{}{help}", finding.message);
                self.tell(Level::Warning, &finding.place, finding.rule.clone(), message)
            }
            EventKind::Notice(heard) if heard.notice.severity.is_warning() => self.notice(heard),
            EventKind::Check(check) => self.check(check),
            EventKind::Traffic(done) => self.traffic(done),
            EventKind::RunFinished(finished) => {
                self.finished(finished)?;
                self.out.flush()
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::event::{ErrorText, FORMAT, LintFinding, Outcome};

    fn told(kinds: impl IntoIterator<Item = EventKind>) -> Vec<String> {
        let mut written = Vec::new();
        let mut annotations = Annotations::new(&mut written, PathBuf::new());
        for kind in kinds {
            let event = Event { format: FORMAT, at: Utc::now(), kind };
            annotations.report(&event).expect("a vector takes it");
        }
        String::from_utf8(written).expect("text").lines().map(str::to_owned).collect()
    }

    fn finding(line: usize) -> EventKind {
        EventKind::Finding(LintFinding {
            version: 1,
            direction: Direction::Up,
            rule: "ban-drop-column".into(),
            message: "clients may read it".into(),
            help: None,
            place: FilePlace { path: "m/1.sql".into(), line },
        })
    }

    #[test]
    fn what_is_found_twice_is_told_once() {
        let lines = told([finding(3), finding(3)]);
        assert_eq!(lines, ["::warning file=m/1.sql,line=3,title=ban-drop-column::clients may read it"]);
    }

    #[test]
    fn the_end_is_told_however_much_was_found() {
        let end = EventKind::RunFinished(RunFinished {
            outcome: Outcome::Failed,
            exit_code: 1,
            duration_ms: 1,
            error: Some(ErrorText { message: "no".into(), excerpt: None, hint: Some("mend it".into()), place: None }),
            next: None,
        });
        let lines = told((1..=12).map(finding).chain([end]));
        assert_eq!(lines.len(), SHOWN + 2);
        assert_eq!(lines[SHOWN], "::warning title=%3A not all is shown::3 more; the summary has them all");
        assert_eq!(lines[SHOWN + 1], "::error title= failed::no%0Awhat to do: mend it");
    }
}
