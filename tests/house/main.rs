//! Who may use whom, and that nothing in a folder is forgotten. docs/ARCHITECTURE.md says why.

mod guide;
mod workflows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").to_owned()
}

fn library() -> PathBuf {
    root().join("crates/rehearsal/src")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file without its comments and its tests: what it uses when it runs.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split_once("#[cfg(test)]\nmod tests {").map_or(text.as_str(), |(before, _)| before);
    text.lines().map(|line| line.split_once("//").map_or(line, |(before, _)| before)).collect::<Vec<_>>().join("\n")
}

/// The modules that a file of the library names, as paths from the crate's root: `postgres::session`.
/// `use crate::a::{b, c::D}` is `a::b` and `a::c::D`, and `super` is what stands above the file.
fn uses(path: &Path) -> BTreeSet<String> {
    let relative = path.strip_prefix(library()).expect("a file of the library").with_extension("");
    let mut module: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    let code = code(path);
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut rest = &code[at..];
            let mut base = module.clone();
            if let Some(after) = rest.strip_prefix("crate::") {
                (rest, base) = (after, Vec::new());
            }
            rest = rest.strip_prefix("self::").unwrap_or(rest);
            while let Some(after) = rest.strip_prefix("super::") {
                base.pop();
                rest = after;
            }
            let base: String = base.iter().map(|part| format!("{part}::")).collect();
            expand(&base, rest, &mut found);
        }
    }
    found
}

fn expand(base: &str, rest: &str, found: &mut BTreeSet<String>) {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
    let (path, rest) = rest.split_at(end);
    let Some(list) = rest.strip_prefix('{').filter(|_| path.is_empty() || path.ends_with("::")) else {
        found.insert(format!("{base}{}", path.trim_end_matches("::")));
        return;
    };
    let (mut depth, mut from) = (0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let item = list[from..at].trim();
                if !item.is_empty() {
                    expand(&format!("{base}{path}"), item, found);
                }
                if c == '}' {
                    return;
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// Checks that no file of a room names one of these modules, but for these exceptions.
fn keeps_away_from(room: &str, forbidden: &[&str], but: &[&str]) {
    let folder = library().join(room);
    let files = if folder.is_dir() { rust_files(&folder) } else { vec![folder.with_extension("rs")] };
    assert!(!files.is_empty(), "{room} has files");
    let is = |used: &str, module: &str| used == module || used.starts_with(&format!("{module}::"));
    for file in files {
        for used in uses(&file) {
            let wrong = forbidden.iter().any(|module| is(&used, module)) && !but.iter().any(|module| is(&used, module));
            assert!(!wrong, "{} uses {used}, and {room} must not use {}", file.display(), forbidden.join(", "));
        }
    }
}

#[test]
fn what_a_file_uses_is_seen() {
    let used = uses(&library().join("steps/lists.rs"));
    for module in ["steps::as_before::AsBefore", "steps::step::Step", "plan::Back"] {
        assert!(used.contains(module), "{module}: {used:?}");
    }
    let used = uses(&library().join("run.rs"));
    assert!(
        used.contains("event::EventKind") && used.contains("steps::Step") && used.contains("context::Context"),
        "{used:?}"
    );
}

#[test]
fn reports_read_only_what_is_told() {
    keeps_away_from(
        "report",
        &[
            "apply",
            "backup",
            "check",
            "config",
            "context",
            "plan",
            "postgres",
            "process",
            "providers",
            "run",
            "source",
            "startup",
            "statement",
            "steps",
            "target",
        ],
        // What `status` and `plan` print is not a run: they show a plan and a history, which are values.
        &[
            "plan::Plan",
            "plan::Direction",
            "postgres::history::History",
            "source::MigrationSet",
            "statement",
            "check::Severity",
            // So are lists of backups and what is decided about them.
            "backup::repository::listing",
            "backup::repository::retention::Decision",
        ],
    );
}

#[test]
fn providers_know_no_step() {
    keeps_away_from(
        "providers",
        &["apply", "backup", "check", "plan", "record", "report", "run", "source", "startup", "statement", "steps"],
        &[],
    );
}

#[test]
fn postgres_knows_nothing_that_runs() {
    keeps_away_from(
        "postgres",
        &[
            "apply",
            "backup",
            "check",
            "config",
            "context",
            "event",
            "providers",
            "record",
            "report",
            "run",
            "source",
            "startup",
            "statement",
            "steps",
        ],
        &[],
    );
}

#[test]
fn steps_choose_no_provider_and_no_report() {
    keeps_away_from(
        "steps",
        &["providers", "report", "run", "record", "startup"],
        // An error of theirs, and how figures are written.
        &["providers::SandboxError", "report::format"],
    );
    // No step can tell a rehearsal from the real thing.
    for file in rust_files(&library().join("steps")) {
        let code = code(&file);
        for word in ["is_sandbox", "is_rehearsal", "\"sandbox\"", "\"rehearse\""] {
            assert!(!code.contains(word), "{} asks whether it is a rehearsal ({word})", file.display());
        }
    }
}

#[test]
fn applying_and_planning_know_no_step() {
    keeps_away_from(
        "apply",
        &["backup", "check", "config", "context", "providers", "record", "report", "run", "startup", "steps"],
        // How figures are written.
        &["report::format"],
    );
    keeps_away_from(
        "plan",
        &[
            "apply",
            "backup",
            "check",
            "config",
            "context",
            "event",
            "postgres",
            "providers",
            "record",
            "report",
            "run",
            "startup",
            "steps",
            "target",
        ],
        // The history and the journal that were read are values.
        &["postgres::history", "postgres::journal::Unfinished"],
    );
    keeps_away_from(
        "source",
        &["apply", "context", "event", "plan", "postgres", "providers", "report", "run", "steps", "target"],
        &[],
    );
    keeps_away_from("event", &["apply", "context", "providers", "report", "run", "steps"], &[]);
    // How figures are written.
    keeps_away_from("backup", &["apply", "plan", "report", "startup", "steps"], &["report::format"]);
    keeps_away_from("anonymise", &["apply", "plan", "report", "startup", "steps"], &[]);
}

#[test]
fn analysis_only_looks() {
    keeps_away_from(
        "analysis",
        &[
            "apply",
            "backup",
            "check",
            "config",
            "context",
            "postgres",
            "providers",
            "report",
            "run",
            "startup",
            "steps",
        ],
        // What was read from a catalog is a value, and so are a digest and a server's version.
        &["postgres::relations::Relation", "postgres::schema::hex", "postgres::version::Version"],
    );
}

#[test]
fn the_doctor_only_looks() {
    keeps_away_from(
        "doctor",
        &["apply", "backup", "check", "event", "record", "report", "run", "startup", "steps"],
        // The place of the backups is asked whether it answers.
        &["backup::repository", "report::format"],
    );
}

#[test]
fn smoke_tests_know_no_step() {
    keeps_away_from(
        "smoke",
        &["apply", "backup", "check", "config", "context", "plan", "providers", "record", "report", "run", "steps"],
        &[],
    );
}

/// Only `postgres` opens connections and starts PostgreSQL's programs.
#[test]
fn only_postgres_connects() {
    for file in rust_files(&library()) {
        let relative = file.strip_prefix(library()).expect("a file of the library").to_owned();
        let code = code(&file);
        if !relative.starts_with("postgres") {
            for word in ["PgConnection::connect", "PgPool", ".connect_options(", "\"pg_dump\").", "Command::new(\"pg_"]
            {
                assert!(!code.contains(word), "{} has {word}", file.display());
            }
        }
        for word in ["println!", "eprintln!", "std::env::var", "env::args", "std::process::exit"] {
            assert!(
                !code.contains(word),
                "{}: the library prints nothing and reads no environment ({word})",
                file.display()
            );
        }
    }
}

/// The crates of this workspace that a crate is built with.
fn ours(manifest: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(&root().join(manifest)).parse().expect("a manifest");
    let names = ["app", "migrations", "rehearsal", "rehearsal-tests", "xtask"];
    let tables = ["dependencies", "build-dependencies"];
    tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table())
        .flat_map(|table| table.keys())
        .filter(|name| names.contains(&name.as_str()))
        .cloned()
        .collect()
}

#[test]
fn crates_depend_in_one_direction() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ours("crates/rehearsal/Cargo.toml"), set(&[]));
    assert_eq!(ours("crates/migrations/Cargo.toml"), set(&[]));
    assert_eq!(ours("crates/app/Cargo.toml"), set(&["migrations", "rehearsal"]));
    assert_eq!(ours("xtask/Cargo.toml"), set(&["migrations", "rehearsal"]));
    assert_eq!(ours("tests/Cargo.toml"), set(&["rehearsal"]));
}

/// The folders that have a `mod.rs`, in all crates.
fn folders_with_a_list() -> Vec<PathBuf> {
    ["crates", "xtask/src", "tests"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter(|path| path.ends_with("mod.rs"))
        .map(|path| path.parent().expect("a folder").to_owned())
        .collect()
}

#[test]
fn every_file_is_declared_in_its_folder() {
    let mut lists: Vec<(PathBuf, PathBuf)> =
        folders_with_a_list().into_iter().map(|folder| (folder.join("mod.rs"), folder)).collect();
    for (list, folder) in [
        ("crates/rehearsal/src/lib.rs", "crates/rehearsal/src"),
        ("crates/app/src/lib.rs", "crates/app/src"),
        ("xtask/src/main.rs", "xtask/src"),
        ("tests/support/lib.rs", "tests/support"),
        ("tests/app/main.rs", "tests/app"),
        ("tests/cli/main.rs", "tests/cli"),
        ("tests/house/main.rs", "tests/house"),
    ] {
        lists.push((root().join(list), root().join(folder)));
    }
    assert!(lists.len() > 10, "{lists:?}");
    for (list, folder) in lists {
        let code = code(&list);
        let declared: BTreeSet<String> = code
            .lines()
            .filter_map(|line| {
                line.trim()
                    .trim_start_matches("pub(crate) ")
                    .trim_start_matches("pub ")
                    .strip_prefix("mod ")?
                    .strip_suffix(';')
            })
            .map(str::to_owned)
            .collect();
        let there: BTreeSet<String> = std::fs::read_dir(&folder)
            .expect("the folder is read")
            .filter_map(|entry| {
                let path = entry.expect("it can be read").path();
                let name = path.file_stem()?.to_str()?.to_owned();
                let is_module = if path.is_dir() { path.join("mod.rs").is_file() } else { path.extension()? == "rs" };
                (is_module && !["mod", "lib", "main"].contains(&name.as_str())).then_some(name)
            })
            .collect();
        assert_eq!(declared, there, "{} against the folder", list.display());
    }
}

/// A `mod.rs` is a list. Some of them name their entries in a function; the rest have no code at all.
#[test]
fn no_logic_in_a_list() {
    for folder in folders_with_a_list() {
        let path = folder.join("mod.rs");
        let functions: Vec<String> = code(&path)
            .lines()
            .filter_map(|line| Some(line.trim().split_once("fn ")?.1.split_once('(')?.0.to_owned()))
            .collect();
        let expected: &[&str] = match path.strip_prefix(root()).expect("in the workspace").to_str() {
            Some("crates/rehearsal/src/providers/mod.rs" | "crates/app/src/routes/mod.rs") => &["all"],
            Some("xtask/src/commands/mod.rs") => &["dispatch", "run"],
            Some("xtask/src/commands/bench/mod.rs") => &["figures"],
            _ => &[],
        };
        assert_eq!(functions, expected, "{}", path.display());
    }
}

#[test]
fn every_step_is_in_a_list() {
    let lists = read(&library().join("steps/lists.rs"));
    let mut steps = 0;
    for file in rust_files(&library().join("steps")) {
        let code = code(&file);
        for line in code.lines() {
            if let Some(name) =
                line.trim().strip_prefix("impl Step for ").and_then(|rest| rest.split_whitespace().next())
            {
                steps += 1;
                assert!(lists.contains(&format!("Box::new({name}")), "{name} of {} is in no list", file.display());
            }
        }
    }
    assert!(steps >= 10, "{steps} steps were found");
}

#[test]
fn every_provider_is_in_the_list() {
    let list = read(&library().join("providers/mod.rs"));
    let mut providers = 0;
    for file in rust_files(&library().join("providers")) {
        for line in code(&file).lines() {
            if let Some(name) =
                line.trim().strip_prefix("impl Provider for ").and_then(|rest| rest.split_whitespace().next())
            {
                providers += 1;
                assert!(list.contains(&format!("::{name}")), "{name} of {} is not in the list", file.display());
            }
        }
    }
    assert!(providers >= 3, "{providers} providers were found");
}

#[test]
fn every_command_is_dispatched() {
    let list = code(&root().join("xtask/src/commands/mod.rs"));
    for file in rust_files(&root().join("xtask/src/commands")) {
        // A command that is a folder is dispatched by the folder's name.
        let folder = file.parent().and_then(Path::file_name).expect("a folder");
        let command = if folder == "commands" { file.file_stem() } else { Some(folder) };
        let name = command.and_then(|name| name.to_str()).expect("a name");
        assert!(name == "mod" || list.contains(&format!("{name}::run(")), "{name} is dispatched nowhere");
    }
}

/// docs/runbooks.md names files, tests, checks and smoke tests: each must be there.
#[test]
fn what_the_runbooks_name_is_there() {
    let text = read(&root().join("docs/runbooks.md"));
    let checks: String =
        ["baseline", "default_profile", "onboarding_completed", "teaching_profiles", "user_table", "usernames"]
            .map(|name| read(&root().join(format!("migrations/checks/{name}.sql"))))
            .concat();
    let smoke = read(&root().join("rehearsal.toml"));
    let mut missing = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| line ")) {
        let cells: Vec<&str> = row.split(" |").collect();
        let named = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        for name in cells.get(2..).unwrap_or_default().iter().flat_map(|cell| named(cell)) {
            let (path, test) = name.split_once("::").map_or((name.as_str(), None), |(path, test)| (path, Some(test)));
            let file = root().join(path);
            let found = file.is_file() && test.is_none_or(|test| read(&file).contains(&format!("fn {test}(")));
            if !found {
                missing.push(name.clone());
            }
        }
        let command = cells.get(1).copied().unwrap_or_default();
        for (word, known) in [("check", &checks), ("checks", &checks), ("smoke", &smoke)] {
            let Some((_, list)) = command.split_once(&format!("{word} `")) else { continue };
            let list = list.split(", smoke `").next().unwrap_or_default();
            for name in named(&format!("`{list}")) {
                let is_one = !name.contains("--") && !name.starts_with("watch");
                if is_one
                    && !known.contains(&format!("-- check: {name}\n"))
                    && !known.contains(&format!("name = \"{name}\""))
                {
                    missing.push(format!("{word} {name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
