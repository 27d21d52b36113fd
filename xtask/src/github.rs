//! What is different under GitHub Actions: masks, annotations, the summary of the job, and outputs for later steps.
//!
//! Workflow commands go to stderr, which the runner reads as well: stdout belongs to whoever asked for `--json`.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use rehearsal::config::Config;
use rehearsal::event::{FilePlace, Reporter};
use rehearsal::report::github::annotations::Annotations;
use rehearsal::report::github::command::{self, Annotation, Level, placed};
use rehearsal::report::github::summary::Summary;
use rehearsal::target::Target;
use url::Url;

use crate::{machine, out};

/// Whether this is a step of a workflow.
pub fn is_there() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}

/// Has the runner hide the password of each target whose URL is here. Hosts and users are not hidden: without
/// them nobody could read the log.
pub fn mask(config: &Config) -> anyhow::Result<()> {
    let libpq = machine::libpq();
    let mut stderr = out::stderr();
    let mut masked: Vec<String> = Vec::new();
    let names: BTreeSet<&String> = config.targets.keys().chain([&config.default_target]).collect();
    for name in names {
        let (variable, target) = config.target(name).map_err(rehearsal::Error::from)?;
        let variables = [Some(variable), target.direct_url_env];
        for url in variables.into_iter().flatten().filter_map(|variable| machine::url(&variable)) {
            // What cannot be read is told by the command that needs it.
            let read = Target::on_machine(name, Some(&url), &libpq).ok();
            let decoded = read.iter().flat_map(Target::passwords).map(str::to_owned);
            // As the URL has it: there its special signs are percent-encoded.
            let written = Url::parse(&url).ok().and_then(|url| url.password().map(str::to_owned));
            masked.extend(decoded.chain(written));
        }
    }
    masked.sort();
    masked.dedup();
    for line in masked.iter().filter_map(|password| command::mask(password)) {
        writeln!(stderr, "{line}")?;
    }
    Ok(())
}

/// Who tells a run to GitHub.
pub fn reporters(records: PathBuf) -> Vec<Box<dyn Reporter>> {
    let mut reporters: Vec<Box<dyn Reporter>> = vec![Box::new(Annotations::new(out::stderr(), above()))];
    if let Some(file) = file_of("GITHUB_STEP_SUMMARY") {
        reporters.push(Box::new(Summary::new(file, records)));
    }
    reporters
}

/// An annotation for what no run has told.
pub fn error(message: &str, hint: Option<&str>, place: Option<&FilePlace>) -> Annotation {
    let hint = hint.map_or_else(String::new, |hint| format!("\nwhat to do: {hint}"));
    Annotation {
        level: Level::Error,
        place: place.map(|place| placed(place, &above())),
        title: "cargo xtask".into(),
        message: format!("{message}{hint}"),
    }
}

/// Gives a value to the steps behind this one, as `steps.ID.outputs.NAME`.
pub fn output(name: &str, value: &str) -> anyhow::Result<()> {
    let Some(file) = file_of("GITHUB_OUTPUT") else { return Ok(()) };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(writeln!(file, "{name}={value}")?)
}

fn file_of(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The workspace as seen from the repository, whose root a place is named from.
fn above() -> PathBuf {
    let repository = file_of("GITHUB_WORKSPACE");
    let here = std::env::current_dir().ok();
    let below = here.as_deref().zip(repository.as_deref()).and_then(|(here, root)| here.strip_prefix(root).ok());
    below.map(Path::to_owned).unwrap_or_default()
}
