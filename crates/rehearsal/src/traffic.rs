//! Traffic: what clients do to the database while a release goes out, as SQL files beside the migrations.
//!
//! Each statement stands under a header of comments:
//!
//! ```sql
//! -- traffic: sign-up
//! -- code: old
//! -- since: 1
//! -- until: 11
//! INSERT INTO users (email, hashed_password) VALUES ('t-' || gen_random_uuid() || '@example.com', '!');
//! ```
//!
//! `since` and `until` are those of a check: the statement works from the one version on, and no longer
//! from the other. `code` says whose it is: that of the release before, or that of this one.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Kind;
use crate::sections::{self, Form, Section, SectionError};

/// Whose statement it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// That of the release before.
    Old,
    /// That of the release that goes out.
    New,
}

impl Code {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

/// One statement that clients run.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Its name, once in the workspace.
    pub name: String,
    /// Whose it is.
    pub code: Code,
    /// It works once this version is applied.
    pub since: Option<i64>,
    /// It works no longer once this version is applied.
    pub until: Option<i64>,
    /// The statement.
    pub sql: String,
    /// Its file.
    pub path: PathBuf,
    /// The line of its header, from 1.
    pub line: usize,
}

impl Traffic {
    /// Whether it works at every version from `from` to `to`, both included: so at any moment of a
    /// migration from the one to the other.
    #[must_use]
    pub fn works_over(&self, from: i64, to: i64) -> bool {
        self.since.is_none_or(|since| since <= from) && self.until.is_none_or(|until| until > to)
    }
}

/// Why the traffic cannot be used, or that clients were not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficError {
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
    #[error("cannot read the traffic in {}: {source}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Statements failed, or were held for too long, while the migrations ran.
    #[error("clients were not served while the migrations ran: {}", failed.join("; "))]
    NotServed {
        /// One phrase for each statement.
        failed: Vec<String>,
    },
}

impl TrafficError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed { .. } | Self::Unreadable { .. } => Kind::Usage,
            Self::NotServed { .. } => Kind::Refused,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Malformed { .. } => {
                "a statement is `-- traffic: NAME`, `-- code: old | new`, then one statement".into()
            }
            Self::Unreadable { .. } => "check `[traffic] from` in rehearsal.toml".into(),
            Self::NotServed { .. } => {
                "split the migration so that both versions of the code work with each part, and no part locks for long; or correct the statement's since and until".into()
            }
        }
    }
}

impl From<SectionError> for TrafficError {
    fn from(error: SectionError) -> Self {
        match error {
            SectionError::Malformed { path, line, reason } => Self::Malformed { path, line, reason },
            SectionError::Unreadable { folder, source } => Self::Unreadable { folder, source },
        }
    }
}

const FORM: Form = Form { opens: "traffic", keys: &["code", "since", "until"] };

/// Reads all `*.sql` files of a folder. No folder means no traffic.
///
/// # Errors
/// [`TrafficError`] for a malformed header, a name used twice, an unreadable file.
pub fn from_folder(folder: &Path) -> Result<Vec<Traffic>, TrafficError> {
    sections::from_folder(folder, &FORM)?.into_iter().map(Traffic::from_section).collect()
}

impl Traffic {
    fn from_section(section: Section) -> Result<Self, TrafficError> {
        let Some(code) = section.value("code") else {
            return Err(section.malformed(format!("the traffic `{}` has no `-- code:`", section.name)).into());
        };
        let code = code
            .read(|text| match text {
                "old" => Some(Code::Old),
                "new" => Some(Code::New),
                _ => None,
            })
            .ok_or_else(|| code.malformed(&section, "old or new"))?;
        let (since, until) = (section.version("since")?, section.version("until")?);
        let Section { name, sql, path, line, .. } = section;
        Ok(Self { name, code, since, until, sql, path, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Traffic>, TrafficError> {
        sections::parse(Path::new("t.sql"), text, &FORM)?.into_iter().map(Traffic::from_section).collect()
    }

    #[test]
    fn it_must_work_all_the_way() {
        let traffic = parse("-- traffic: a\n-- code: old\n-- since: 2\n-- until: 5\nselect 1;\n").expect("parses");
        assert_eq!((traffic[0].code, traffic[0].sql.as_str(), traffic[0].line), (Code::Old, "select 1", 1));
        let over = |from, to| traffic[0].works_over(from, to);
        assert_eq!([over(2, 4), over(1, 4), over(2, 5), over(3, 3)], [true, false, false, true]);
    }

    #[test]
    fn whose_it_is_must_be_said() {
        for (text, message) in [
            ("-- traffic: a\nselect 1", "t.sql:1: the traffic `a` has no `-- code:`"),
            ("-- traffic: a\n-- code: both\nselect 1", "t.sql:2: `both` is not old or new"),
            ("-- traffic: a\n-- code: old\n-- since: x\nselect 1", "t.sql:3: `x` is not a version"),
        ] {
            assert_eq!(parse(text).expect_err("refused").to_string(), message);
        }
    }
}
