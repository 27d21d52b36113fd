//! Files of SQL statements, each under a header of comments: checks, and what clients run meanwhile.
//!
//! ```sql
//! -- check: a-name
//! -- expect: no rows
//! -- Any other comment.
//! SELECT …;
//! ```

use std::path::{Path, PathBuf};

/// The keys of a header.
pub(crate) struct Form {
    /// The key that opens a section and names it.
    pub opens: &'static str,
    /// Those that may follow. A comment with another word before a colon is a comment.
    pub keys: &'static [&'static str],
}

/// A statement with its header.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name, once in the folder.
    pub name: String,
    values: Vec<(String, Value)>,
    /// The statement, without a semicolon behind it.
    pub sql: String,
    /// Its file.
    pub path: PathBuf,
    /// The line of its header, from 1.
    pub line: usize,
}

/// What stands behind a key.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    text: String,
    line: usize,
}

/// A folder of sections cannot be used.
#[derive(Debug)]
pub(crate) enum SectionError {
    Malformed { path: PathBuf, line: usize, reason: String },
    Unreadable { folder: PathBuf, source: std::io::Error },
}

impl Value {
    /// What it means, by `read`.
    pub fn read<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        read(&self.text)
    }

    /// That it means nothing.
    pub fn malformed(&self, section: &Section, expected: &str) -> SectionError {
        let reason = format!("`{}` is not {expected}", self.text);
        SectionError::Malformed { path: section.path.clone(), line: self.line, reason }
    }
}

impl Section {
    /// What stands behind a key; the last one counts.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.iter().rev().find(|(other, _)| other == key).map(|(_, value)| value)
    }

    /// A migration's version behind a key.
    pub fn version(&self, key: &str) -> Result<Option<i64>, SectionError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let version = value.read(|text| text.parse().ok());
        version.map(Some).ok_or_else(|| value.malformed(self, "a version"))
    }

    /// That something is wrong with all of it.
    pub fn malformed(&self, reason: String) -> SectionError {
        SectionError::Malformed { path: self.path.clone(), line: self.line, reason }
    }
}

/// Reads all `*.sql` files of a folder, in the order of their names. No folder means nothing.
pub(crate) fn from_folder(folder: &Path, form: &Form) -> Result<Vec<Section>, SectionError> {
    let unreadable = |source| SectionError::Unreadable { folder: folder.into(), source };
    let mut paths = Vec::new();
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
        Ok(entries) => {
            for entry in entries {
                let path = entry.map_err(unreadable)?.path();
                if path.extension().is_some_and(|extension| extension == "sql") {
                    paths.push(path);
                }
            }
        }
    }
    paths.sort();
    let mut sections: Vec<Section> = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        for section in parse(&path, &text, form)? {
            if let Some(other) = sections.iter().find(|other| other.name == section.name) {
                let place = format!("{}:{}", other.path.display(), other.line);
                return Err(section.malformed(format!("the name `{}` is taken by {place}", section.name)));
            }
            sections.push(section);
        }
    }
    Ok(sections)
}

/// Reads the sections of one file.
pub(crate) fn parse(path: &Path, text: &str, form: &Form) -> Result<Vec<Section>, SectionError> {
    let malformed = |line, reason| SectionError::Malformed { path: path.into(), line, reason };
    let opens = form.opens;
    let mut sections: Vec<Section> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let header = line.trim_start().strip_prefix("--").and_then(|comment| comment.trim().split_once(':'));
        let (key, value) = header.map_or(("", ""), |(key, value)| (key.trim(), value.trim()));
        if key == opens {
            if value.is_empty() {
                return Err(malformed(number, format!("a {opens} without a name")));
            }
            let (name, path) = (value.into(), path.into());
            sections.push(Section { name, values: Vec::new(), sql: String::new(), path, line: number });
            continue;
        }
        let is_blank = line.trim().is_empty() || line.trim_start().starts_with("--");
        let Some(section) = sections.last_mut() else {
            if is_blank {
                continue;
            }
            return Err(malformed(number, format!("a query before the first `-- {opens}:`")));
        };
        // Once the query has begun, a comment is part of it.
        let in_header = section.sql.is_empty();
        if in_header && form.keys.contains(&key) {
            section.values.push((key.into(), Value { text: value.into(), line: number }));
        } else if !(in_header && is_blank) {
            section.sql.push_str(line);
            section.sql.push('\n');
        }
    }
    for section in &mut sections {
        section.sql = section.sql.trim().trim_end_matches(';').trim().to_owned();
        if section.sql.is_empty() {
            return Err(malformed(section.line, format!("the {opens} `{}` has no query", section.name)));
        }
    }
    Ok(sections)
}
