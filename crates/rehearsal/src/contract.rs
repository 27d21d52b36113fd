//! What the code expects of the schema: the queries that `sqlx prepare` wrote down when it was compiled
//! (sqlx's "offline data", a JSON file per query in `.sqlx/`).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::Kind;

/// A query of the code, with what it was compiled against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeQuery {
    /// Its text.
    pub sql: String,
    /// The columns that it gives.
    pub columns: Vec<CodeColumn>,
    /// The file that says so.
    pub path: PathBuf,
}

/// A column that a query gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeColumn {
    /// Its name.
    pub name: String,
    /// Its type as sqlx names it; none where the type is the user's own.
    pub type_name: Option<String>,
}

/// Why the code's queries cannot be read, or that they do not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read the code's queries in {}: {reason}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is not one query.
    #[error("there are no queries of the code in {}", folder.display())]
    Nothing {
        /// The folder.
        folder: PathBuf,
    },
    /// Some queries do not work with this schema.
    #[error("{} of the code's {total} queries do not fit the schema: {}", broken.len(), broken.join("; "))]
    Broken {
        /// One phrase each.
        broken: Vec<String>,
        /// How many there are.
        total: usize,
    },
}

impl ContractError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreadable { .. } | Self::Nothing { .. } => Kind::Usage,
            Self::Broken { .. } => Kind::Refused,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } | Self::Nothing { .. } => {
                "write them with `cargo xtask sqlx prepare --workspace`, or name their folder in `contract`".into()
            }
            Self::Broken { .. } => {
                "bring code and schema together: migrate first, mend the migration, or build the code for this schema"
                    .into()
            }
        }
    }
}

#[derive(Deserialize)]
struct File {
    query: String,
    describe: Describe,
}

#[derive(Deserialize)]
struct Describe {
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    type_info: Value,
}

/// Reads the queries of a folder, in the order of their files' names.
///
/// # Errors
/// [`ContractError::Unreadable`], [`ContractError::Nothing`].
pub fn from_folder(folder: &Path) -> Result<Vec<CodeQuery>, ContractError> {
    let unreadable = |path: &Path, reason: String| ContractError::Unreadable { path: path.into(), reason };
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, error.to_string()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, error.to_string()))?.path();
        let is_query = |name: &str| name.starts_with("query-") && name.ends_with(".json");
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_query) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(ContractError::Nothing { folder: folder.into() });
    }
    let read = |path: PathBuf| {
        let text = std::fs::read(&path).map_err(|error| unreadable(&path, error.to_string()))?;
        let file: File = serde_json::from_slice(&text).map_err(|error| unreadable(&path, error.to_string()))?;
        let column = |Column { name, type_info }: Column| {
            // A name of its own for what PostgreSQL brings along; an object for what the user has made.
            CodeColumn { name, type_name: type_info.as_str().map(str::to_owned) }
        };
        Ok(CodeQuery { sql: file.query, columns: file.describe.columns.into_iter().map(column).collect(), path })
    };
    paths.into_iter().map(read).collect()
}

impl CodeQuery {
    /// How what the database would give differs from what the code was compiled for; nothing, if it does not.
    #[must_use]
    pub fn difference(&self, found: &[(String, String)]) -> Option<String> {
        if found.len() != self.columns.len() {
            return Some(format!("it gives {} columns instead of {}", found.len(), self.columns.len()));
        }
        self.columns.iter().zip(found).find_map(|(expected, (name, type_name))| {
            if expected.name != *name {
                return Some(format!("it gives a column {name} instead of {}", expected.name));
            }
            let other = expected.type_name.as_ref().filter(|expected| !expected.eq_ignore_ascii_case(type_name));
            other.map(|expected| format!("{name} is {type_name} instead of {expected}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_types_are_compared() {
        let column = |name: &str, type_name: Option<&str>| CodeColumn {
            name: name.into(),
            type_name: type_name.map(str::to_owned),
        };
        let query = CodeQuery {
            sql: String::new(),
            columns: vec![column("id", Some("Int8")), column("mood", None)],
            path: PathBuf::new(),
        };
        let difference = |found: &[(&str, &str)]| {
            let found: Vec<_> = found.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).collect();
            query.difference(&found)
        };
        assert_eq!(difference(&[("id", "INT8"), ("mood", "whatever")]), None);
        for wrong in [&[("id", "INT8")][..], &[("id", "INT4"), ("mood", "x")], &[("id", "INT8"), ("mode", "x")]] {
            assert!(difference(wrong).is_some(), "{wrong:?}");
        }
    }
}
