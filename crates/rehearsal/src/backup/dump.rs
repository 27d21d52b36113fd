//! Dump, read the dump, prove it, and write down what is known of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::Utc;

use super::codec::Codec;
use super::failure::BackupError;
use super::inside::{self, Inside};
use super::manifest::{DUMP_FOLDER, FORMAT, Manifest, SchemaEntry, SequenceEntry, TableEntry};
use super::pack::Held;
use super::packing_task::PackingTask;
use super::partial::{self, Partial};
use super::pg_dump::{self, Dumping};
use super::proof;
use super::source::{self, Source};
use super::verdict::{Outcome, Proof, ProofLevel};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{BackupDone, EventKind, milliseconds};
use crate::postgres::contents::TableName;
use crate::postgres::tools::Tools;

/// The compressed dump was never seen to be larger than the database; half of it is usual.
const EXPECTED_SHARE: u64 = 2;

/// A plain dump and its packed files are there side by side for a while, and others want room as well.
const PLAIN_ROOM: u64 = 3;

/// Makes a backup of the context's target below the configured folder, and proves as much of it as `level`
/// says. What is not proven is kept and says so.
///
/// # Errors
/// pg_dump's complaint, the file system's: then nothing is kept. [`BackupError::Wrong`] and
/// [`BackupError::NotProven`] leave the dump, which counts for nothing.
pub async fn make(cx: &mut Context, level: ProofLevel) -> Result<(PathBuf, Manifest)> {
    let (source, snapshot) = source::observe(cx).await?;
    let tools = cx.tools(source.server).await?;
    let folder = cx.backup_folder().join(source.target.name());
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    // pg_dump out of an image is given the same path, so it must be a whole one.
    let folder = folder.canonicalize().map_err(Error::io("find", &folder))?;
    partial::sweep(&folder)?;
    let codec = if tools.write_zstd(&source.target, &cx.cancel).await { Codec::Zstd } else { Codec::Gzip };
    let compression = if has_room_for_plain(&folder, source.bytes)? { pg_dump::PLAIN } else { codec.option() };
    let name = format!("{}-{}", crate::run::timestamp(), source.target.database().replace('/', "_"));
    let under_way = Partial::create(&folder, &name)?;

    let began = Instant::now();
    let made_at = Utc::now();
    let into = under_way.path.join(DUMP_FOLDER);
    let snapshot_name = snapshot.name.clone();
    let packing = PackingTask::start(cx, &under_way.path, codec);
    let dumping = Dumping::new(cx, &tools, &source, compression, &packing.stop);
    let dumping = async {
        let done = dumping.run(snapshot, &into).await;
        (done, Instant::now())
    };
    // The server that the proof needs starts meanwhile.
    let server =
        async { if level == ProofLevel::None { Ok(()) } else { proof::sandbox(cx, &tools, source.bytes).await } };
    let ((dumped, ended), server) = tokio::join!(dumping, server);
    let dump_ms = u64::try_from(ended.duration_since(began).as_millis()).unwrap_or(u64::MAX);
    let listed = match dumped {
        Ok(()) => {
            packing.dumped.cancel();
            let listing = inside::list(cx, &tools, &under_way.path, &source);
            tokio::try_join!(listing, source::is_as_it_was(cx, &source)).map(|(listed, ())| listed)
        }
        Err(error) => Err(error),
    };
    let (listed, data) = packing.end(listed).await?;
    let inside = Inside::new(listed, &data);
    // What is restored is what is kept, to the byte.
    let proof = judge(cx, &tools, &under_way.path, &source, &inside, level, server).await?;
    let proof_ms = milliseconds(ended);
    let left_out = source.left_out();

    let manifest = Manifest {
        format: FORMAT,
        id: under_way.name(),
        run_id: cx.run_id.clone(),
        made_at,
        target: source.target.name().to_owned(),
        address: source.target.address(),
        database: source.target.database().to_owned(),
        origin: Some(source.origin),
        snapshot: Some(snapshot_name),
        lsn: source.lsn,
        server: source.server,
        client: tools.version(),
        encoding: source.encoding,
        locale: source.locale,
        commit: cx.workspace.commit.clone(),
        migration: source.migration,
        applied: source.applied,
        unfinished: source.unfinished,
        surroundings: source.surroundings,
        extensions: source.extensions,
        files: data.files,
        tables: table_entries(&inside.tables),
        sequences: inside
            .listed
            .sequences
            .into_iter()
            .map(|(name, position)| SequenceEntry { name, position })
            .collect(),
        large_objects: Some(inside.large_objects),
        schema: Some(SchemaEntry { objects: inside.listed.schema.len() as u64, sha256: inside.listed.schema.digest() }),
        left_out,
        proof,
        anonymised: None,
        encrypted_settings: None,
        seal: String::new(),
    };
    // What it speaks of is on the disk before it is; only then does the folder get its name.
    partial::sync(&under_way.path.join(DUMP_FOLDER))?;
    manifest.write(&under_way.path)?;
    partial::sync(&under_way.path)?;
    let finished = under_way.finish()?;
    partial::sync(&folder)?;
    cx.events.emit(EventKind::Backup(BackupDone {
        path: finished.display().to_string(),
        bytes: manifest.bytes(),
        tables: manifest.tables.len(),
        rows: manifest.rows(),
        dump_ms,
        proof_ms,
        proof: Some(manifest.proof.clone()),
    }));
    for text in &manifest.left_out {
        cx.events.warn(format!("{text} is in no dump"));
    }
    let Proof { outcome, reasons, .. } = &manifest.proof;
    match outcome {
        Outcome::Wrong => Err(BackupError::Wrong { differences: reasons.clone() }.into()),
        Outcome::NotProven if level != ProofLevel::None => {
            Err(BackupError::NotProven { reason: reasons.join("; "), kept: finished }.into())
        }
        _ => Ok((finished, manifest)),
    }
}

/// What can be said of a dump. What it lacks is wrong, whether it is restored or not.
async fn judge(
    cx: &Context,
    tools: &Tools,
    folder: &Path,
    source: &Source,
    inside: &Inside,
    level: ProofLevel,
    server: Result<()>,
) -> Result<Proof> {
    let missing = proof::missing(source, inside);
    if !missing.is_empty() {
        return Ok(Proof::of(level, missing, "what the source has with what is in the dump".into()));
    }
    if level == ProofLevel::None {
        return Ok(Proof::missing(level, "no proof was asked for".into()));
    }
    match server {
        Ok(()) => proof::prove(cx, tools, folder, source, inside, level).await,
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) => Ok(Proof::missing(level, error.to_string())),
    }
}

fn table_entries(tables: &BTreeMap<TableName, Held>) -> Vec<TableEntry> {
    tables
        .iter()
        .map(|(name, held)| TableEntry {
            name: name.clone(),
            rows: held.fingerprint.rows,
            bytes: held.bytes,
            fingerprint: format!("{:032x}", held.fingerprint.sum),
        })
        .collect()
}

/// Looks whether the dump has room, and whether a plain one has as well.
fn has_room_for_plain(folder: &Path, database: u64) -> Result<bool> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| Error::io("look at the space of", folder)(error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let needed = database / EXPECTED_SHARE;
    if free < needed {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        return Err(
            BackupError::NoRoom { folder: folder.into(), free: megabytes(free), needed: megabytes(needed) }.into()
        );
    }
    Ok(free / PLAIN_ROOM > database)
}
