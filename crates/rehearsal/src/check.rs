//! Checks: SQL files beside the migrations that say what must be true, and since when.
//!
//! Each query stands under a header of comments:
//!
//! ```sql
//! -- check: onboarding-nobody-undecided
//! -- expect: no rows
//! -- severity: error
//! -- since: 3
//! SELECT id FROM users WHERE onboarding_completed IS NULL LIMIT 10;
//! ```

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Kind;
use crate::sections::{self, Form, Section, SectionError};

/// What a check's query has to give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Nothing. The rows that come are the offenders.
    NoRows,
    /// At least one row.
    Rows,
    /// One row with one `true`.
    True,
    /// One row with this one value, compared as text.
    Value(String),
    /// The same rows as before the release.
    Unchanged,
    /// The planner reads this index for it.
    UsesIndex(String),
    /// Whatever it gives is written into the record.
    Report,
}

impl std::fmt::Display for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRows => f.write_str("no rows"),
            Self::Rows => f.write_str("rows"),
            Self::True => f.write_str("true"),
            Self::Value(value) => write!(f, "value {value}"),
            Self::Unchanged => f.write_str("unchanged"),
            Self::UsesIndex(name) => write!(f, "uses index {name}"),
            Self::Report => f.write_str("report"),
        }
    }
}

/// What a failed check means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The run fails.
    Error,
    /// The run goes on and says so.
    Warn,
}

/// One check.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its name, once in the workspace.
    pub name: String,
    /// What its query has to give.
    pub expectation: Expectation,
    /// What a failure means.
    pub severity: Severity,
    /// It applies once this version is applied.
    pub since: Option<i64>,
    /// It applies no longer once this version is applied.
    pub until: Option<i64>,
    /// The query.
    pub sql: String,
    /// Its file.
    pub path: PathBuf,
    /// The line of its header, from 1.
    pub line: usize,
}

impl Check {
    /// Whether it applies to a database with these versions.
    pub fn applies(&self, is_applied: impl Fn(i64) -> bool) -> bool {
        self.since.is_none_or(&is_applied) && !self.until.is_some_and(&is_applied)
    }
}

/// Why checks cannot be used, or that they failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A file does not follow the form.
    #[error("{}:{line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line in it.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The folder cannot be read.
    #[error("cannot read the checks in {}: {source}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Some did not hold.
    #[error("{} of {total} checks failed: {}", failed.len(), failed.join(", "))]
    Failed {
        /// The names of those that failed.
        failed: Vec<String>,
        /// How many were run.
        total: usize,
    },
    /// A log says that something is wrong.
    #[error("{} has {lines} new line{} with a red flag: {line}", log.display(), if *lines == 1 { "" } else { "s" })]
    RedFlag {
        /// The file.
        log: PathBuf,
        /// How many such lines.
        lines: usize,
        /// The first of them.
        line: String,
    },
    /// The database is not as it was.
    #[error("the database is not as it was before: {}", differences.join("; "))]
    NotAsBefore {
        /// One phrase each.
        differences: Vec<String>,
    },
}

impl CheckError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed { .. } | Self::Unreadable { .. } => Kind::Usage,
            Self::Failed { .. } | Self::RedFlag { .. } | Self::NotAsBefore { .. } => Kind::Refused,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed { .. } => {
                "a check is `-- check: NAME`, `-- expect: no rows | rows | true | value N | unchanged | uses index NAME | report`, then one query".into()
            }
            Self::Unreadable { .. } => "check `checks` in rehearsal.toml".into(),
            Self::Failed { .. } => {
                "read what each failed check found (above, and in the record), mend the data or the migration, and verify again".into()
            }
            Self::RedFlag { .. } => {
                "find out whether the release is the cause; if it is, `cargo xtask rollback` undoes it".into()
            }
            Self::NotAsBefore { .. } => {
                "mend the down file so that it undoes all that the up file did; rehearse again".into()
            }
        }
    }
}

/// Reads all `*.sql` files of a folder. No folder means no checks.
///
/// # Errors
/// [`CheckError`] for a malformed header, a name used twice, an unreadable file.
pub fn from_folder(folder: &Path) -> Result<Vec<Check>, CheckError> {
    sections::from_folder(folder, &FORM)?.into_iter().map(Check::from_section).collect()
}

/// Reads the checks of one file.
///
/// # Errors
/// [`CheckError::Malformed`] with the line.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Check>, CheckError> {
    sections::parse(path, text, &FORM)?.into_iter().map(Check::from_section).collect()
}

const FORM: Form = Form { opens: "check", keys: &["expect", "severity", "since", "until"] };

impl From<SectionError> for CheckError {
    fn from(error: SectionError) -> Self {
        match error {
            SectionError::Malformed { path, line, reason } => Self::Malformed { path, line, reason },
            SectionError::Unreadable { folder, source } => Self::Unreadable { folder, source },
        }
    }
}

impl Check {
    fn from_section(section: Section) -> Result<Self, CheckError> {
        let Some(expectation) = section.value("expect") else {
            return Err(section.malformed(format!("the check `{}` has no `-- expect:`", section.name)).into());
        };
        let expectation =
            expectation.read(read_expectation).ok_or_else(|| expectation.malformed(&section, "an expectation"))?;
        let severity = match section.value("severity") {
            None => Severity::Error,
            Some(value) => value
                .read(|text| match text {
                    "error" => Some(Severity::Error),
                    "warn" => Some(Severity::Warn),
                    _ => None,
                })
                .ok_or_else(|| value.malformed(&section, "error or warn"))?,
        };
        let (since, until) = (section.version("since")?, section.version("until")?);
        let Section { name, sql, path, line, .. } = section;
        Ok(Self { name, expectation, severity, since, until, sql, path, line })
    }
}

fn read_expectation(value: &str) -> Option<Expectation> {
    Some(match value {
        "no rows" => Expectation::NoRows,
        "rows" => Expectation::Rows,
        "true" => Expectation::True,
        "unchanged" => Expectation::Unchanged,
        "report" => Expectation::Report,
        _ => {
            if let Some(value) = value.strip_prefix("value ") {
                Expectation::Value(value.trim().into())
            } else {
                Expectation::UsesIndex(value.strip_prefix("uses index ")?.trim().into())
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Vec<Check>, CheckError> {
        parse(Path::new("c.sql"), text)
    }

    #[test]
    fn a_header_says_it_all() {
        let checks = parse_text(
            "-- a file about users\n\n-- check: a\n-- expect: value 3\n-- since: 2\n-- until: 7\n-- why\nselect 3; \n\n-- check: b\n-- expect: uses index i\n-- severity: warn\nselect 1 -- expect: rows\n",
        )
        .expect("parses");
        assert_eq!(checks.len(), 2);
        assert_eq!(checks[0].expectation, Expectation::Value("3".into()));
        assert_eq!((checks[0].since, checks[0].until, checks[0].sql.as_str()), (Some(2), Some(7), "select 3"));
        assert_eq!(checks[1].expectation, Expectation::UsesIndex("i".into()));
        assert_eq!(checks[1].severity, Severity::Warn);
        assert_eq!(checks[1].line, 10);
    }

    #[test]
    fn what_is_missing_is_told_with_its_line() {
        for (text, message) in [
            ("select 1", "c.sql:1: a query before the first"),
            ("-- check: a\nselect 1", "c.sql:1: the check `a` has no `-- expect:`"),
            ("-- check: a\n-- expect: perhaps\nselect 1", "c.sql:2: `perhaps` is not an expectation"),
            ("-- check: a\n-- expect: rows\n", "c.sql:1: the check `a` has no query"),
        ] {
            let error = parse_text(text).expect_err("refused").to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn it_applies_from_since_to_before_until() {
        let checks = parse_text("-- check: a\n-- expect: rows\n-- since: 2\n-- until: 5\nselect 1").expect("parses");
        let at = |version: i64| checks[0].applies(|needed| needed <= version);
        assert_eq!([1, 2, 4, 5].map(at), [false, true, true, false]);
    }
}
