//! The guide is built as a book, its links lead somewhere, and it leaves out no error and no key of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mdbook_driver::MDBook;
use regex::Regex;
use rehearsal::Kind;
use rehearsal::config::{Config, FILE_NAME};
use rehearsal_tests::guide::{self, Part};

use crate::{code, library, read, root, rust_files};

/// Errors without words of their own: what they carry speaks.
const TRANSPARENT: &str = "#[error(transparent)]";

const CONFIGURATION: &str = "docs/src/reference/configuration.md";

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn page(path: &str) -> String {
    read(&root().join(path))
}

fn html_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the book is read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            html_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "html") {
            found.push(path);
        }
    }
}

#[test]
fn the_book_is_built_and_its_links_lead_somewhere() {
    let built = tempfile::tempdir().expect("a folder");
    let mut book = MDBook::load(root().join("docs")).expect("docs/ is a book");
    book.config.build.build_dir = built.path().into();
    book.build().expect("the book is built");
    let mut files = Vec::new();
    html_files(built.path(), &mut files);
    // These repeat the other pages, with links as they are there.
    files.retain(|file| !file.ends_with("print.html") && !file.ends_with("toc.html") && !file.ends_with("404.html"));
    assert!(files.len() > 30, "{} pages", files.len());
    let (link, id) = (pattern(r#"(?:href|src)="([^"]*)""#), pattern(r#"\bid="([^"]*)""#));
    let texts: BTreeMap<PathBuf, String> = files.iter().map(|file| (file.clone(), read(file))).collect();
    let ids = |path: &Path| -> BTreeSet<String> {
        texts
            .get(path)
            .map(|text| id.captures_iter(text).map(|found| found[1].to_owned()).collect())
            .unwrap_or_default()
    };
    let mut broken = Vec::new();
    for (file, text) in &texts {
        let content =
            text.split_once("<main>").and_then(|(_, rest)| rest.split_once("</main>")).map_or("", |(main, _)| main);
        for found in link.captures_iter(content) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let leads_to = if path.is_empty() { file.clone() } else { file.parent().expect("a folder").join(path) };
            let there = leads_to.canonicalize().ok();
            let fits = there.as_ref().is_some_and(|path| anchor.is_empty() || ids(path).contains(anchor));
            if !fits {
                broken.push(format!("{}: {target}", file.strip_prefix(built.path()).expect("a page").display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// README and what is read in the repository itself.
#[test]
fn links_of_files_lead_to_files() {
    let link = pattern(r"\]\(([^)#:]+)(?:#[^)]*)?\)");
    let mut files: Vec<String> = guide::pages().into_iter().map(|(path, _)| path).collect();
    files.extend(["docs/ARCHITECTURE.md".to_owned(), "docs/runbooks.md".to_owned()]);
    let mut broken = Vec::new();
    for file in files {
        let folder = root().join(&file).parent().expect("a folder").to_owned();
        for found in link.captures_iter(&page(&file)).filter(|found| !folder.join(&found[1]).exists()) {
            broken.push(format!("{file}: {}", &found[1]));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = page("docs/src/SUMMARY.md");
    for (path, _) in guide::pages() {
        let Some(name) = path.strip_prefix("docs/src/").filter(|name| *name != "SUMMARY.md") else { continue };
        assert!(summary.contains(&format!("({name})")), "{name} is not in the summary");
    }
}

fn kebab(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if c.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(c.to_lowercase());
        text
    })
}

/// The pieces of a message that are the same each time.
fn pieces(message: &str) -> Vec<String> {
    let fixed = pattern(r"\{[^}]*\}").replace_all(message, "\u{0}").replace('`', "");
    fixed.split('\u{0}').map(|piece| piece.trim().to_owned()).filter(|piece| piece.chars().count() > 3).collect()
}

/// What the library's errors say, by the anchor of their entry: `refusal-edited`.
fn errors() -> BTreeMap<String, Vec<String>> {
    let kind = pattern(r"^(?:pub|pub\([a-z]+\)) (enum|struct) (\w+)");
    let (variant, said) = (pattern(r"^    ([A-Z]\w*)\b"), pattern(r#"(?s)#\[error\(\s*"((?:[^"\\]|\\.)*)""#));
    let mut found = BTreeMap::new();
    for file in rust_files(&library()) {
        let text = code(&file);
        for (at, _) in text.match_indices("thiserror::Error") {
            let lines: Vec<&str> = text[at..].lines().skip(1).collect();
            let head = lines.iter().position(|line| kind.is_match(line)).expect("an enum or a struct");
            let is = kind.captures(lines[head]).expect("an enum or a struct");
            let name = kebab(is[2].strip_suffix("Error").filter(|name| !name.is_empty()).unwrap_or(&is[2]));
            let message = |text: &str| said.captures(text).map(|said| pieces(&said[1])).unwrap_or_default();
            if &is[1] == "struct" {
                found.insert(name, message(&lines[..head].join("\n")));
                continue;
            }
            let body: Vec<&str> = lines[head + 1..].iter().copied().take_while(|line| *line != "}").collect();
            let mut attribute = 0;
            for (index, line) in body.iter().enumerate() {
                let Some(variant) = variant.captures(line) else { continue };
                let attributes = body[attribute..index].join("\n");
                attribute = index + 1;
                if !attributes.contains(TRANSPARENT) {
                    found.insert(format!("{name}-{}", kebab(&variant[1])), message(&attributes));
                }
            }
        }
    }
    assert!(found.len() > 100, "{found:?}");
    found
}

/// The entries of the reference: an anchor, a heading, and the text below it.
fn entries() -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for (path, text) in guide::pages().into_iter().filter(|(path, _)| path.contains("/refusals/")) {
        for part in text.split("<a id=\"").skip(1) {
            let (id, rest) = part.split_once("\"></a>\n").unwrap_or_else(|| panic!("{path}: {part}"));
            let rest = rest.trim_start().strip_prefix("### ").unwrap_or_else(|| panic!("{path}: {id} has no heading"));
            let (heading, body) = rest.split_once('\n').expect("a text below the heading");
            let twice = found.insert(id.to_owned(), (heading.to_owned(), body.to_owned()));
            assert!(twice.is_none(), "{id} has two entries");
        }
    }
    found
}

#[test]
fn every_error_has_an_entry() {
    let (errors, entries) = (errors(), entries());
    let of_the_shell = |id: &&String| id.starts_with("command-");
    let known: Vec<&String> = errors.keys().collect();
    let written: Vec<&String> = entries.keys().filter(|id| !of_the_shell(id)).collect();
    assert_eq!(written, known, "the entries in docs/src/reference/refusals against the errors of the library");
    for (id, pieces) in errors {
        let heading = entries[&id].0.replace(['`', '\\'], "");
        for piece in pieces {
            assert!(heading.contains(&piece), "{id} says `{piece}`, and its entry is headed: {heading}");
        }
    }
    for (id, (_, body)) in entries {
        for label in ["- **What happened:** ", "- **Why it stops:** ", "- **What to do:** ", "- **Exit code:** "] {
            assert!(body.contains(label), "{id} lacks {label}");
        }
    }
}

/// What the shell says by itself stands in the same reference.
#[test]
fn every_error_of_the_shell_has_an_entry() {
    let call = pattern(r#"exit::(?:usage|failed|refused)\(\s*(?:format!\(\s*)?"((?:[^"\\]|\\.)*)""#);
    let headings: Vec<String> = entries().into_values().map(|(heading, _)| heading.replace(['`', '\\'], "")).collect();
    let mut calls = 0;
    for file in rust_files(&root().join("xtask/src")) {
        // The figures are for those who work on this, and their errors are faults.
        if file.components().any(|part| part.as_os_str() == "bench") {
            continue;
        }
        for found in call.captures_iter(&code(&file)) {
            calls += 1;
            let pieces = pieces(&found[1]);
            let told = headings.iter().any(|heading| pieces.iter().all(|piece| heading.contains(piece)));
            assert!(told, "{}: `{}` has no entry", file.display(), &found[1]);
        }
    }
    assert!(calls > 10, "{calls} calls");
}

/// What is read from rehearsal.toml refuses keys that it does not know, and nothing else of the library does.
const READ_STRICTLY: &str = "deny_unknown_fields";

#[test]
fn every_key_of_the_configuration_is_listed() {
    let page = page(CONFIGURATION);
    let field = pattern(r"^    pub (\w+): ");
    let (mut keys, mut missing) = (0, Vec::new());
    for file in rust_files(&library()) {
        let code = code(&file);
        for part in code.split("#[derive(").skip(1) {
            let Some((_, body)) = part.split_once("struct ").filter(|(head, _)| head.contains(READ_STRICTLY)) else {
                continue;
            };
            let mut is_skipped = false;
            for line in body.lines().take_while(|line| *line != "}") {
                is_skipped |= line.contains("#[serde(skip)]");
                let Some(found) = field.captures(line) else { continue };
                if std::mem::take(&mut is_skipped) {
                    continue;
                }
                keys += 1;
                if !page.contains(&format!("`{}`", &found[1])) {
                    missing.push(format!("{}: {}", file.display(), &found[1]));
                }
            }
        }
    }
    assert!(keys > 80, "{keys} keys");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

fn blocks(path: &str, language: &str) -> Vec<String> {
    let parts = guide::parts(&page(path));
    let block = |part: Part| match part {
        Part::Block(is, lines) if is == language => Some(lines.join("\n")),
        _ => None,
    };
    parts.into_iter().filter_map(block).collect()
}

/// What a file's text means, as Rust shows it. Paths are as they are written.
fn loaded(text: &str) -> String {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::write(root.path().join(FILE_NAME), text).expect("the file is written");
    let config = Config::load(root.path(), None).unwrap_or_else(|error| panic!("{error}\n{text}"));
    format!("{config:#?}").replace(&format!("{}/", root.path().display()), "")
}

#[test]
fn the_configuration_that_is_shown_can_be_read() {
    let blocks = blocks(CONFIGURATION, "toml");
    let (defaults, others) = blocks.split_first().expect("a block with the defaults");
    assert_eq!(loaded(defaults), loaded(""));
    assert!(others.len() > 5, "{} more blocks", others.len());
    for block in others {
        assert_ne!(loaded(block), loaded(""), "{block}");
    }
}

#[test]
fn every_exit_code_is_listed() {
    let page = page("docs/src/reference/exit-codes.md");
    let kinds = [Kind::Failed, Kind::Usage, Kind::Refused, Kind::Busy, Kind::Resumable, Kind::Interrupted];
    let codes: BTreeSet<u8> = kinds.iter().map(|kind| kind.exit_code()).chain([Kind::EXIT_DONE]).collect();
    let row = pattern(r"(?m)^\| (\d+) \|");
    let listed: BTreeSet<u8> = row.captures_iter(&page).filter_map(|found| found[1].parse().ok()).collect();
    assert_eq!(listed, codes);
}

#[test]
fn every_limit_of_a_file_is_listed() {
    let page = page("docs/src/reference/directives.md");
    for limit in rehearsal::apply::own_limits::OF_A_FILE {
        assert!(page.contains(&format!("`{limit}`")), "{limit} is not in the reference");
    }
}

/// README says which test shows what: each must be there.
#[test]
fn what_is_proven_is_there() {
    let proof = pattern(r"`(tests/\w+/\w+\.rs)::(\w+)`");
    let readme = page("README.md");
    let mut rows = 0;
    for found in proof.captures_iter(&readme) {
        rows += 1;
        let there = read(&root().join(&found[1])).contains(&format!("fn {}(", &found[2]));
        assert!(there, "{} has no test {}", &found[1], &found[2]);
    }
    assert!(rows >= 10, "{rows} claims");
}
