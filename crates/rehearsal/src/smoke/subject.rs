//! What the requests are sent to, and which of them.

use std::path::PathBuf;

use super::app::AppConfig;
use super::secrets::Secrets;

/// A service to be tried out.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What people call it: `app`, `app-before`, or where it runs.
    pub label: String,
    /// The newest version of the schema that its code was made for. Together with `release` it decides
    /// which of the tests are for it.
    pub version: i64,
    /// The release that its code belongs to, if one is known.
    pub release: Option<String>,
    /// The code is a later one than that release's: it may well need what is not there yet.
    pub is_of_later: bool,
    /// What the tests' secrets come from.
    pub secrets: Secrets,
    /// Where it is.
    pub place: Place,
}

/// Where a service is.
#[derive(Debug, Clone)]
pub enum Place {
    /// It is started for this, on a copy of the database that is thrown away after it.
    Started(Box<Program>),
    /// It runs already, at this URL without a slash at its end.
    Running(String),
}

/// A service's program.
#[derive(Debug, Clone)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How it is started.
    pub app: AppConfig,
    /// The variables of our own environment that it may see.
    pub inherited: Vec<(String, String)>,
}
