//! `report`: a run's report made again, from its record alone.

use std::io::Write;
use std::path::{Path, PathBuf};

use rehearsal::record::{FORMAT, Record};
use rehearsal::report::html::page;
use rehearsal::report::markdown::page as markdown;

use crate::cli::ReportFormat;
use crate::exit;
use crate::shell::Shell;

pub fn run(shell: &Shell, record: Option<String>, format: ReportFormat, output: Option<PathBuf>) -> anyhow::Result<()> {
    let folder = &shell.config.records.to;
    let path = match record {
        Some(record) => named(folder, &record),
        None => newest(folder)?,
    };
    let record = read(&path)?;
    let text = match format {
        ReportFormat::Html => page::render(&record)?,
        ReportFormat::Markdown => {
            let earlier = record.rehearsal_before(folder);
            markdown::render(&record, earlier.as_ref(), markdown::COMMENT)
        }
        ReportFormat::Json => format!("{:#}\n", serde_json::to_value(&record)?),
    };
    match output {
        Some(output) => std::fs::write(&output, text).map_err(|error| {
            exit::usage(format!("cannot write {}: {error}", output.display()), "name a file in a folder that is there")
        }),
        None => Ok(shell.out().write_all(text.as_bytes())?),
    }
}

/// A path, or the name of a run.
fn named(folder: &Path, record: &str) -> PathBuf {
    let path = PathBuf::from(record);
    if path.is_file() { path } else { folder.join(format!("{record}.json")) }
}

fn newest(folder: &Path) -> anyhow::Result<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    // Their names open with the time of the run.
    let newest = files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max();
    newest.ok_or_else(|| {
        exit::usage(
            format!("there is no record in {}", folder.display()),
            "run something that leaves one, `cargo xtask rehearse` for example, or name a record's file",
        )
    })
}

fn read(path: &Path) -> anyhow::Result<Record> {
    let hint = "name a record, as the last line of a run does, or its run";
    let bytes =
        std::fs::read(path).map_err(|error| exit::usage(format!("cannot read {}: {error}", path.display()), hint))?;
    let unreadable =
        |why: String| exit::usage(format!("{} is no record that this version can read: {why}", path.display()), hint);
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    match record.format {
        FORMAT => Ok(record),
        other => Err(unreadable(format!("its format is {other}, and this version reads {FORMAT}"))),
    }
}
