//! The pages of the guide, and README, as a reader follows them: files to write, commands to run, and what these
//! print.
//!
//! A `console` block is run: its lines that begin with `$ ` are lines of a shell, a line `# exit 3` behind one of
//! them is its exit code, and what else stands below one is what it prints, with `…` for what is left out. HTML
//! comments, which no reader sees, say the rest:
//!
//! | comment | meaning |
//! |---|---|
//! | `workspace: empty` | the page begins in an empty folder; `R2` and `all`: in a copy of this workspace |
//! | `file: PATH`, `append: PATH` | the block below is that file, or goes behind what is in it |
//! | `run: LINE` | a line that is run and not shown |
//! | `fill: VARIABLE PATH` | that fixture is loaded into the database of that variable |
//! | `pooler: VARIABLE DATABASE` | the variable leads through a pooler to the other one's database |
//! | `s3` | the environment has an object store |
//! | `not run: REASON` | the block below is not run |

use std::path::{Path, PathBuf};

use regex::Regex;

use crate::words;

/// What a page says, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A comment: its word, and what stands behind the colon.
    Note(String, String),
    /// A fenced block: its language and its lines.
    Block(String, Vec<String>),
}

/// A line of the shell, how it must end, and what it must print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line.
    pub line: String,
    /// Its exit code.
    pub exit: i32,
    /// What is shown of what it prints; nothing, if nothing is.
    pub shown: Vec<String>,
}

/// The workspace's root.
///
/// # Panics
/// Never: the tests' package stands in it.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").to_owned()
}

/// README and all pages of the guide, by their paths from the root.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn pages() -> Vec<(String, String)> {
    let mut paths = vec![root().join("README.md")];
    below(&root().join("docs/src"), &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).expect("below the root").display().to_string();
    paths.into_iter().map(|path| (name(&path), read(&path))).collect()
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The notes and the blocks of a page.
///
/// # Panics
/// When a block does not end.
#[must_use]
pub fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(note) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            let (word, rest) = note.split_once(": ").unwrap_or((note, ""));
            parts.push(Part::Note(word.into(), rest.into()));
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<String> = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
            parts.push(Part::Block(language.into(), block));
        }
    }
    let fences = page.lines().filter(|line| line.starts_with("```")).count();
    assert!(fences % 2 == 0, "a block does not end");
    parts
}

/// The lines of a `console` block.
///
/// # Panics
/// When it does not begin with one.
#[must_use]
pub fn lines(block: &[String]) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    for text in block {
        if let Some(line) = text.strip_prefix("$ ") {
            found.push(Line { line: line.into(), exit: 0, shown: Vec::new() });
            continue;
        }
        let last = found.last_mut().unwrap_or_else(|| panic!("a block begins with what is printed: {text}"));
        match text.strip_prefix("# exit ") {
            Some(code) => last.exit = code.parse().unwrap_or_else(|_| panic!("no exit code: {text}")),
            None => last.shown.push(text.clone()),
        }
    }
    found
}

/// What is printed besides on a machine that has much to do: locks that were held for long there.
const SLOW: &str = r"^ *! version \d+ held \S+ on \S+ for ";

/// How what was printed differs from what is shown, or nothing.
#[must_use]
pub fn difference(shown: &[String], printed: &str) -> Option<String> {
    if shown.is_empty() {
        return None;
    }
    let shown = masked(&shown.join("\n"));
    let printed = masked(printed);
    let slow = Regex::new(SLOW).unwrap_or_else(|error| panic!("{SLOW}: {error}"));
    let mut rest = printed.lines().filter(|line| !line.trim().is_empty() && !slow.is_match(line));
    let mut skips = false;
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        if line.trim() == "…" {
            skips = true;
            continue;
        }
        let found =
            if skips { rest.any(|other| fits(line, other)) } else { rest.next().is_some_and(|o| fits(line, o)) };
        if !found {
            return Some(format!("it does not print: {line}"));
        }
        skips = false;
    }
    let left = rest.next().filter(|_| !skips)?;
    Some(format!("it prints as well: {left}"))
}

/// Whether a line is that one, with anything where `…` stands.
fn fits(shown: &str, printed: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| printed.strip_prefix(first)) else { return false };
    let mut ends_open = false;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
        ends_open = piece.is_empty();
    }
    rest.is_empty() || ends_open
}

/// Without what differs from run to run, and from reader to reader.
fn masked(text: &str) -> String {
    let ours = [
        (r"[^\s('`]+@[^\s/)]+/\w+", "[USER]@[SERVER]/[DATABASE]"),
        (r"backups/([\w-]+)/\[TIME\]-\S+", "backups/$1/[BACKUP]"),
        (r"database of \[SIZE\]", "database of some size"),
        (r"\[DURATION\] +\[DURATION\]", "[DURATION] [DURATION]"),
        (r"[ \t]+", " "),
    ];
    let mut text = text.to_owned();
    for (pattern, word) in words::filters().into_iter().chain(ours) {
        let pattern = Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        text = pattern.replace_all(&text, word).into_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_page_is_read_as_it_is_followed() {
        let page = "# A\n\n<!-- file: a.sql -->\n```sql\nSELECT 1;\n```\n\n```console\n$ a\nout\n# exit 3\n$ b\n```\n";
        let parts = parts(page);
        assert_eq!(parts[0], Part::Note("file".into(), "a.sql".into()));
        let Part::Block(language, block) = &parts[2] else { panic!("{parts:?}") };
        assert_eq!(language, "console");
        let a = Line { line: "a".into(), exit: 3, shown: shown(&["out"]) };
        let b = Line { line: "b".into(), exit: 0, shown: Vec::new() };
        assert_eq!(lines(block), [a, b]);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let printed = "one  12 ms\n      ! version 2 held ShareLock on a for 300 ms\ntwo\nthree\n";
        let differs = |lines: &[&str]| difference(&shown(lines), printed).is_some();
        assert!(
            !differs(&["one 7.3 s", "two", "three"])
                && !differs(&["one…", "…", "three"])
                && !differs(&["…", "t…o", "…"])
        );
        assert!(differs(&["one 7.3 s", "two"]) && differs(&["two", "three"]) && differs(&["one…", "…", "four"]));
        assert!(differs(&["one 7.3 s", "two", "three", "four"]) && !differs(&[]));
    }
}
