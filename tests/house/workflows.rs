//! The workflows, by two checkers that others keep well. Both work offline.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rehearsal_tests::workflow::{Workflow, folder, names};

/// Where `cargo xtask setup` installs them.
const TOOLS: &str = "target/tools/bin";

/// What a workflow must not be.
const BAD: &str = "name: bad
on: pull_request_target
jobs:
  bad:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v6
      - run: echo ${{ github.event.pull_request.title }}
";

/// A program of PyPI, or a word that the test is skipped. On CI it must be there.
fn tool(name: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = crate::root().join(TOOLS);
    let found = std::iter::once(installed).chain(std::env::split_paths(&path)).map(|folder| folder.join(name));
    let found = found.into_iter().find(|program| program.is_file());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "{name} is not installed: run `cargo xtask setup`");
    if found.is_none() {
        // A test's own output is only shown when it fails: this is for everybody.
        let text = format!("skipped: {test}: {name} is not installed; `cargo xtask setup` does that");
        writeln!(std::io::stderr(), "{text}").expect("stderr takes it");
    }
    found
}

fn zizmor(program: &Path, what: &Path) -> Output {
    let arguments = ["--offline", "--persona", "pedantic", "--no-config", "--no-progress", "--color", "never"];
    Command::new(program).args(arguments).arg(what).output().expect("zizmor is started")
}

fn schema(program: &Path, files: &[PathBuf]) -> Output {
    let arguments = ["--builtin-schema", "vendor.github-workflows"];
    Command::new(program).args(arguments).args(files).output().expect("check-jsonschema is started")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A workflow of the test's own, in a folder like the real one.
fn workflow(text: &str) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::TempDir::with_prefix("rehearsal-test-").expect("a temporary folder");
    let folder = place.path().join(".github/workflows");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("bad.yml");
    std::fs::write(&file, text).expect("it is written");
    (place, file)
}

#[test]
fn zizmor_finds_nothing() {
    let Some(program) = tool("zizmor", "zizmor_finds_nothing") else { return };
    let found = zizmor(&program, &folder());
    assert!(found.status.success(), "{}", said(&found));
    let (_place, bad) = workflow(BAD);
    let found = said(&zizmor(&program, &bad));
    for audit in ["dangerous-triggers", "unpinned-uses", "template-injection", "excessive-permissions", "artipacked"] {
        assert!(found.contains(audit), "zizmor overlooks {audit}: {found}");
    }
}

#[test]
fn they_follow_the_schema() {
    let Some(program) = tool("check-jsonschema", "they_follow_the_schema") else { return };
    let files: Vec<PathBuf> = names().iter().map(|name| folder().join(name)).collect();
    let found = schema(&program, &files);
    assert!(found.status.success(), "{}", said(&found));
    let (_place, bad) = workflow(&BAD.replace("runs-on", "runs-at"));
    assert!(!schema(&program, &[bad]).status.success(), "the schema is not looked at");
}

/// What zizmor lets pass when it is written down on purpose.
#[test]
fn each_job_begins_with_nothing() {
    for name in names() {
        let text = std::fs::read_to_string(folder().join(&name)).expect("it is read");
        assert!(text.contains("\npermissions: {}\n"), "{name} gives its jobs rights that they do not ask for");
        assert!(!text.contains("pull_request_target"), "{name}");
        let (checkouts, without) = ("actions/checkout@", "persist-credentials: false");
        assert_eq!(
            text.matches(checkouts).count(),
            text.matches(without).count(),
            "{name}: a checkout keeps the token"
        );
        for line in text.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, action)| action) {
            let (commit, version) =
                line.split_once('@').and_then(|(_, pin)| pin.split_once(" # v")).unwrap_or_default();
            let is_commit = commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit());
            assert!(
                is_commit && !version.is_empty(),
                "{name}: {line} is not pinned by commit, with its version beside"
            );
        }
    }
}

/// So that each of them can be run at a desk as well.
#[test]
fn every_line_is_a_command_of_ours() {
    let mut lines = 0;
    for name in names() {
        let workflow = Workflow::read(&name);
        for job in workflow.jobs() {
            for line in workflow.lines(job) {
                lines += 1;
                assert!(line.starts_with("cargo xtask ") && !line.contains('\n'), "{name}: {line}");
                assert!(!line.contains("${{"), "{name}: {line}: an input goes by way of `env`");
            }
        }
    }
    assert!(lines >= 15, "{lines} lines were found");
}
