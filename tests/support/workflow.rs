//! The workflows of this repository, as GitHub's runner goes through them: their steps in order, with the values
//! that a test gives to what stands in `${{ … }}`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::command::Ended;
use crate::project::Project;

/// The folder of the workflows.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").join(".github/workflows")
}

/// The files' names, in order.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder is read");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A workflow.
pub struct Workflow {
    name: String,
    value: Value,
}

/// A line that was run, and how that ended.
pub struct Ran {
    /// The line.
    pub line: String,
    /// How it ended.
    pub ended: Ended,
    /// What it added to the job's summary.
    pub summary: String,
}

/// What stands in `${{ … }}`, with what it is in a test.
pub type Given = BTreeMap<String, String>;

impl Workflow {
    /// The workflow of a file.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let path = folder().join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let documents = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let [document] = &documents[..] else { panic!("{} is one document", path.display()) };
        Self { name: name.into(), value: json(document) }
    }

    /// The names of its jobs.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn jobs(&self) -> Vec<&str> {
        self.value["jobs"].as_object().expect("jobs").keys().map(String::as_str).collect()
    }

    /// The lines of a job, or none where it only uses actions.
    ///
    /// # Panics
    /// When there is no such job.
    #[must_use]
    pub fn lines(&self, job: &str) -> Vec<&str> {
        self.steps(job).iter().filter_map(|step| step["run"].as_str()).collect()
    }

    fn steps(&self, job: &str) -> &[Value] {
        let steps = self.value["jobs"][job]["steps"].as_array();
        steps.unwrap_or_else(|| panic!("{} has no job {job}", self.name))
    }

    /// Runs the lines of a job in a workspace as GitHub's runner does. `given` says what is in `${{ … }}`, and
    /// `instead` replaces variables of the job.
    ///
    /// # Panics
    /// When something stands in `${{ … }}` that is not given.
    pub async fn run(&self, job: &str, project: &Project, given: &Given, instead: &[(&str, &str)]) -> Vec<Ran> {
        let mut given = given.clone();
        let mut failed = false;
        let mut ran = Vec::new();
        for (number, step) in self.steps(job).iter().enumerate() {
            let Some(line) = step["run"].as_str() else { continue };
            let runs = match step["if"].as_str() {
                Some(condition) => holds(condition, &given),
                None => !failed,
            };
            if !runs {
                continue;
            }
            let file = |what: &str| project.path(&format!("tmp/{job}-{number}-{what}"));
            let (summary, output) = (file("summary"), file("output"));
            let mut variables: BTreeMap<String, String> = BTreeMap::new();
            for variable in [&self.value["env"], &self.value["jobs"][job]["env"], &step["env"]] {
                for (name, value) in variable.as_object().into_iter().flatten() {
                    variables.insert(name.clone(), filled(value.as_str().expect("a text"), &given));
                }
            }
            let runner = [
                ("CI", "true".into()),
                ("GITHUB_ACTIONS", "true".into()),
                ("GITHUB_WORKSPACE", project.folder().display().to_string()),
                ("GITHUB_STEP_SUMMARY", summary.display().to_string()),
                ("GITHUB_OUTPUT", output.display().to_string()),
            ];
            variables.extend(runner.map(|(name, value)| (name.to_owned(), value)));
            variables.extend(instead.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            let ended = project.start_line(line, &variables).end().await;
            failed |= ended.code != Some(0);
            if let Some(id) = step["id"].as_str() {
                for line in read(&output).lines() {
                    let (name, value) = line.split_once('=').expect("NAME=VALUE");
                    given.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
                }
            }
            let summary_text = read(&summary);
            // The runner takes them away as well.
            for file in [summary, output] {
                let _ = std::fs::remove_file(file);
            }
            ran.push(Ran { line: line.to_owned(), ended, summary: summary_text });
        }
        ran
    }
}

/// The same as JSON; a key or a number of any kind as its text.
fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Hash(entries) => entries.iter().map(|(key, value)| (text(key), json(value))).collect(),
        Yaml::Array(elements) => elements.iter().map(json).collect(),
        Yaml::Null => Value::Null,
        scalar => text(scalar).into(),
    }
}

fn text(yaml: &Yaml) -> String {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(value) => value.to_string(),
        other => panic!("{other:?} is no scalar"),
    }
}

/// A file that may not be there.
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A text with all that stands in `${{ … }}` replaced.
fn filled(text: &str, given: &Given) -> String {
    let mut rest = text;
    let mut filled = String::new();
    while let Some((before, behind)) = rest.split_once("${{") {
        let (expression, after) = behind.split_once("}}").expect("it is closed");
        filled.push_str(before);
        filled.push_str(&value(expression.trim(), given));
        rest = after;
    }
    filled + rest
}

/// A condition of a step: values and states of the job with `&&` between them.
fn holds(condition: &str, given: &Given) -> bool {
    let inner = condition.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).expect("an expression");
    inner.split("&&").map(str::trim).all(|part| match part {
        "!cancelled()" | "always()" => true,
        expression => !value(expression, given).is_empty(),
    })
}

fn value(expression: &str, given: &Given) -> String {
    // A step that was not run has given nothing.
    let is_output = expression.starts_with("steps.");
    let found = given.get(expression).cloned().or_else(|| is_output.then(String::new));
    found.unwrap_or_else(|| panic!("the test does not say what ${{{{ {expression} }}}} is"))
}
