//! A backup is restored into a sandbox and compared, table by table, with the dump's own bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::dump::Source;
use super::failure::BackupError;
use super::files;
use super::manifest::{DUMP_FOLDER, FileEntry, Proof};
use super::restore;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::postgres::contents::{self, Columns, Contents, Fingerprint, TableName};
use crate::postgres::sequences::{self, Positions, Sequences};
use crate::postgres::session::Session;
use crate::postgres::tools::{Invocation, Tools};
use crate::target::Target;

/// The database in the sandbox that a backup is restored into to be proven.
pub const PROOF_DATABASE: &str = "rehearsal_proof";

/// Which entries of the dump set sequences; written only for as long as they are read.
const ENTRIES_FILE: &str = "sequences.list";

/// What is in the dump, and that it was restored.
pub(super) struct Proven {
    pub files: Vec<FileEntry>,
    pub tables: Vec<(TableName, Fingerprint)>,
    pub sequences: Positions,
    pub proof: Proof,
}

/// Starts the server that a backup is proven in, if none runs yet.
pub(super) async fn sandbox(cx: &mut Context, tools: &Tools, bytes: u64) -> Result<()> {
    cx.sandbox(Some(tools.version().major), Some(bytes)).await.map(drop).map_err(not_proven)
}

fn not_proven(error: Error) -> Error {
    match error {
        Error::Interrupted => Error::Interrupted,
        other => BackupError::NotProven { reason: other.to_string() }.into(),
    }
}

/// Proves the dump in `folder`. The restored database stays in the sandbox, for a rehearsal to go on
/// with, until the next proof.
pub(super) async fn prove(cx: &Context, tools: &Tools, folder: &Path, source: &Source) -> Result<Proven> {
    let tables = &source.tables;
    let dump = folder.join(DUMP_FOLDER);
    let listing = list(cx, tools, &dump).await?;
    let data = files::data_files(&listing, tables.keys());
    let positions = positions(cx, tools, folder, &listing).await?;
    let jobs = cx.workspace.config.backup.jobs.max(1);
    let cancel = cx.cancel.clone();
    let sandbox = cx.running_sandbox().ok_or_else(|| BackupError::NotProven { reason: "no sandbox runs".into() })?;
    sandbox.drop_database(PROOF_DATABASE, &cancel).await.map_err(not_proven)?;
    sandbox.create_roles(&source.manifest.surroundings.roles, &cancel).await.map_err(not_proven)?;
    let copy =
        sandbox.create_database(PROOF_DATABASE, Some(&source.manifest.encoding), &cancel).await.map_err(not_proven)?;
    let expected = read_and_pack(dump.clone(), data, jobs, cancel.clone()).await.map_err(not_proven)?;
    // What is restored is what is kept, to the byte; its digests are taken meanwhile.
    let restoring = restore::run(tools, &dump, &copy, jobs, &cancel);
    let (restored, entries) = tokio::join!(restoring, digests(folder.to_owned()));
    restored.map_err(not_proven)?;
    let entries = entries.map_err(not_proven)?;
    let (found, found_sequences) = restored_contents(&copy, tables, &cancel).await.map_err(not_proven)?;
    let mut differences = compare(tables, &expected, &found);
    differences.extend(compare_sequences(&source.sequences, &positions, &found_sequences));
    if !differences.is_empty() {
        return Err(BackupError::Wrong { differences }.into());
    }
    let proof = Proof {
        restored_into: sandbox.version(),
        provider: sandbox.provider().into(),
        at: Utc::now(),
        compared: "rows and contents of every table, and every sequence".into(),
    };
    Ok(Proven { files: entries, tables: expected.into_iter().collect(), sequences: positions, proof })
}

async fn list(cx: &Context, tools: &Tools, dump: &Path) -> Result<String> {
    let arguments = ["--list".to_owned(), dump.display().to_string()];
    let invocation = Invocation {
        program: "pg_restore",
        arguments: &arguments,
        target: cx.target()?,
        purpose: "list",
        folder: Some(dump),
    };
    let output = tools.run(&invocation, &cx.cancel).await?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Where the dump sets the sequences: its own entries, without the data around them.
async fn positions(cx: &Context, tools: &Tools, folder: &Path, listing: &str) -> Result<Positions> {
    let entries: String = listing
        .lines()
        .filter(|line| !line.starts_with(';') && line.contains(" SEQUENCE SET "))
        .flat_map(|line| [line, "\n"])
        .collect();
    if entries.is_empty() {
        return Ok(Positions::new());
    }
    let file = folder.join(ENTRIES_FILE);
    std::fs::write(&file, entries).map_err(Error::io("write", &file))?;
    let arguments = [
        "--file=-".to_owned(),
        format!("--use-list={}", file.display()),
        folder.join(DUMP_FOLDER).display().to_string(),
    ];
    let invocation = Invocation {
        program: "pg_restore",
        arguments: &arguments,
        target: cx.target()?,
        purpose: "list",
        folder: Some(folder),
    };
    let output = tools.run(&invocation, &cx.cancel).await;
    std::fs::remove_file(&file).map_err(Error::io("remove", &file))?;
    Ok(sequences::in_script(&String::from_utf8_lossy(&output?)))
}

/// What is in the dump, by its own bytes.
async fn read_and_pack(
    dump: PathBuf,
    data: BTreeMap<TableName, u64>,
    jobs: usize,
    cancel: CancellationToken,
) -> Result<Contents> {
    blocking(move || files::read_and_pack(&dump, &data, jobs, &cancel)).await
}

/// The digests of what is kept, once it is on the disk.
async fn digests(folder: PathBuf) -> Result<Vec<FileEntry>> {
    blocking(move || files::list(&folder)?.iter().map(|path| files::keep(&folder, path)).collect()).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(BackupError::NotProven { reason: error.to_string() }.into()),
    }
}

async fn restored_contents(
    copy: &Target,
    tables: &Columns,
    cancel: &CancellationToken,
) -> Result<(Contents, Sequences)> {
    let mut session = Session::connect(copy, "proof", cancel).await?;
    let found = contents::read_all(&mut session, tables).await?;
    let sequences = sequences::read(&mut session, None).await?;
    session.close().await;
    Ok((found, sequences))
}

/// The source's sequences were read before the dump: whoever writes meanwhile moves them on.
fn compare_sequences(source: &Sequences, dumped: &Positions, restored: &Sequences) -> Vec<String> {
    let mut differences = sequences::misplaced(dumped.iter(), restored);
    for (name, sequence) in source {
        match dumped.get(name) {
            None => differences.push(format!("the sequence {name} is not in the dump")),
            Some(position) if !sequence.reaches(*position) => {
                differences
                    .push(format!("the sequence {name} stood at {} and is dumped at {position}", sequence.position));
            }
            Some(_) => {}
        }
    }
    differences
}

fn compare(tables: &Columns, expected: &Contents, found: &Contents) -> Vec<String> {
    let mut differences = Vec::new();
    for table in tables.keys() {
        match (expected.get(table), found.get(table)) {
            (None, _) => differences.push(format!("{table} is not in the dump")),
            (Some(_), None) => differences.push(format!("{table} is not in the restored copy")),
            (Some(dumped), Some(restored)) if dumped.rows != restored.rows => {
                differences.push(format!("{table}: {} rows dumped, {} restored", dumped.rows, restored.rows));
            }
            (Some(dumped), Some(restored)) if dumped.sum != restored.sum => {
                differences.push(format!("{table}: {} rows, but not with the same contents", dumped.rows));
            }
            _ => {}
        }
    }
    differences
}
