//! Looks through a dump, as pg_restore writes it out, for values that must not be in it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use tokio_util::sync::CancellationToken;

use super::failure::AnonymiseError;
use crate::error::{Error, Result};

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// In rows: schema and table as the dump writes them, and the column.
    Column(String, String),
    /// Anywhere else: a definition, a default, a comment.
    Schema,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Column(table, column) => write!(f, "{table}.{column}"),
            Self::Schema => f.write_str("a definition"),
        }
    }
}

/// Which needles were found, by their place in the list, and where.
pub(super) type Finds = BTreeSet<(usize, Found)>;

/// Looks for all needles in a script, and removes it. It may be as big as the database.
pub(super) async fn scan_and_remove(script: PathBuf, needles: Vec<String>, cancel: CancellationToken) -> Result<Finds> {
    let work = move || {
        let finds = scan(&script, &needles, &cancel);
        std::fs::remove_file(&script).map_err(Error::io("remove", &script))?;
        finds
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(not_looked(&error)))
}

/// Line by line: memory is a line's.
fn scan(script: &Path, needles: &[String], cancel: &CancellationToken) -> Result<Finds> {
    let search = AhoCorasick::new(needles).map_err(|error| not_looked(&error))?;
    let file = File::open(script).map_err(Error::io("read", script))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut rows: Option<(String, Vec<String>)> = None;
    let (mut finds, mut line) = (Finds::new(), Vec::new());
    loop {
        line.clear();
        if cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        if reader.read_until(b'\n', &mut line).map_err(Error::io("read", script))? == 0 {
            return Ok(finds);
        }
        match &rows {
            Some(_) if line == b"\\.\n" => rows = None,
            Some((table, columns)) => {
                for found in search.find_overlapping_iter(&line) {
                    // COPY writes a tab of a value as `\t`: every one that is there parts two columns.
                    let place = memchr::memchr_iter(b'\t', &line[..found.start()]).count();
                    let column = columns.get(place).cloned().unwrap_or_default();
                    finds.insert((found.pattern().as_usize(), Found::Column(table.clone(), column)));
                }
            }
            None => {
                let found = search.find_overlapping_iter(&line);
                finds.extend(found.map(|found| (found.pattern().as_usize(), Found::Schema)));
                rows = copied(&String::from_utf8_lossy(&line));
            }
        }
    }
}

/// What could not be looked through is no pass.
fn not_looked(reason: &impl std::fmt::Display) -> Error {
    AnonymiseError::NotLooked { reason: reason.to_string() }.into()
}

/// `COPY "s"."t" ("a", "b") FROM stdin;`
fn copied(line: &str) -> Option<(String, Vec<String>)> {
    let rest = line.strip_prefix("COPY ")?.strip_suffix(" FROM stdin;\n")?;
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    for c in rest.chars() {
        match c {
            '"' => {
                // A doubled one is closed and opened again; what it stands for is left out, in both ways of writing.
                quoted = !quoted;
            }
            '.' | ',' | '(' | ')' if !quoted => names.push(std::mem::take(&mut name)),
            ' ' if !quoted => {}
            c => name.push(c),
        }
    }
    let mut names = names.into_iter();
    let table = format!("{}.{}", names.next()?, names.next()?);
    Some((table, names.collect()))
}

/// A table and a column as [`scan`] names them.
pub(super) fn place(schema: &str, table: &str, column: &str) -> Found {
    let bare = |name: &str| name.replace('"', "");
    Found::Column(format!("{}.{}", bare(schema), bare(table)), bare(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_told_with_its_column() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("script.sql");
        let text = "COMMENT ON TABLE t IS 'secret-1';\nCOPY public.\"a.b \"\"c\"\"\" (id, \"x, y\", z) FROM stdin;\n\
                    1\tsecret-1\\t\tplain\n2\tn\tsecret-2 and secret-1\n\\.\n\nCOPY s.e () FROM stdin;\n\\.\n";
        std::fs::write(&script, text).expect("written");
        let needles = ["secret-1".to_owned(), "secret-2".to_owned()];
        let found = scan(&script, &needles, &CancellationToken::new()).expect("read");
        let at = |column| place("public", "a.b \"c\"", column);
        assert_eq!(found, Finds::from([(0, Found::Schema), (0, at("x, y")), (1, at("z")), (0, at("z"))]));
    }
}
