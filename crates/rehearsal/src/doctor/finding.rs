//! One thing that was looked at, and all of them together.

use serde::Serialize;

use crate::error::{Error, Kind};

/// Version of the format of [`Diagnosis`]; it goes up when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// All that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// [`FORMAT`].
    pub format: u32,
    /// The target's name.
    pub target: Option<String>,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
    /// What the process ends with.
    pub exit_code: u8,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// How it is.
    pub level: Level,
    /// What was found, as one line. No secret is in it.
    pub what: String,
    /// What to do about it; nothing where it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How the commands end that meet it.
    #[serde(skip)]
    kind: Option<Kind>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// `rehearsal.toml` and the files that it names.
    Configuration,
    /// Environment variables.
    Variables,
    /// Who answers at the target, and by which way.
    Database,
    /// The migration history, against the files.
    History,
    /// What the target's role may do.
    Rights,
    /// PostgreSQL's client programs.
    Tools,
    /// Throwaway servers.
    Sandbox,
    /// Where backups live.
    Backups,
    /// Room on this machine.
    Disk,
    /// The repository.
    Git,
    /// Programs that have the migrations embedded.
    Artefact,
}

impl Area {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Variables => "variables",
            Self::Database => "database",
            Self::History => "history",
            Self::Rights => "rights",
            Self::Tools => "tools",
            Self::Sandbox => "sandbox",
            Self::Backups => "backups",
            Self::Disk => "disk",
            Self::Git => "git",
            Self::Artefact => "artefact",
        }
    }
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth a look; commands work all the same.
    Warning,
    /// A command would fail, or must not be run.
    Problem,
}

impl Finding {
    /// It is as it should be.
    #[must_use]
    pub fn ok(area: Area, what: impl Into<String>) -> Self {
        Self { area, level: Level::Ok, what: what.into(), remedy: None, kind: None }
    }

    /// Worth a look.
    #[must_use]
    pub fn warning(area: Area, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, level: Level::Warning, what: what.into(), remedy: Some(remedy.into()), kind: None }
    }

    /// A command that meets it ends like that.
    #[must_use]
    pub fn problem(area: Area, kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, level: Level::Problem, what: what.into(), remedy: Some(remedy.into()), kind: Some(kind) }
    }

    /// What a command would say as well.
    #[must_use]
    pub fn of(area: Area, error: &Error) -> Self {
        let remedy = error.hint();
        Self { area, level: Level::Problem, what: error.to_string(), remedy, kind: Some(error.kind()) }
    }
}

/// Which of several problems decides the exit code: what has to be mended first. Only where nothing but a busy or
/// absent server stands in the way does trying again help.
const ORDER: [Kind; 6] = [Kind::Interrupted, Kind::Usage, Kind::Failed, Kind::Refused, Kind::Resumable, Kind::Busy];

impl Diagnosis {
    /// Puts findings together.
    #[must_use]
    pub fn new(target: Option<&str>, findings: Vec<Finding>) -> Self {
        let there = |kind: &&Kind| findings.iter().any(|finding| finding.kind == Some(**kind));
        let exit_code = ORDER.iter().find(there).map_or(Kind::EXIT_DONE, |kind| kind.exit_code());
        Self { format: FORMAT, target: target.map(str::to_owned), findings, exit_code }
    }

    /// How many findings are like that.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_mended_first_decides_the_exit_code() {
        let code = |kinds: &[Kind]| {
            let findings = kinds.iter().map(|kind| Finding::problem(Area::Git, *kind, "", "")).collect();
            Diagnosis::new(None, findings).exit_code
        };
        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[Kind::Busy]), 4);
        assert_eq!(code(&[Kind::Busy, Kind::Refused]), 3);
        assert_eq!(code(&[Kind::Refused, Kind::Usage, Kind::Busy]), 2);
        assert_eq!(Diagnosis::new(None, vec![Finding::warning(Area::Git, "", "")]).exit_code, 0);
    }
}
