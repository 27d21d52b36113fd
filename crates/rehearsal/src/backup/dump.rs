//! Dump, read the dump, prove it, and only then call it a backup.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::failure::BackupError;
use super::manifest::{DUMP_FOLDER, FORMAT, Manifest, SequenceEntry, TableEntry};
use super::partial::{self, Partial};
use super::proof;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{BackupDone, Emitter, EventKind, Progress, milliseconds};
use crate::postgres::catalog::{self, Surroundings};
use crate::postgres::contents::{self, Columns, Fingerprint, TableName};
use crate::postgres::history::History;
use crate::postgres::pooler;
use crate::postgres::query::Stopped;
use crate::postgres::sequences::{self, Sequences};
use crate::postgres::session::Session;
use crate::postgres::tools::{Invocation, Tools};
use crate::target::Target;

/// gzip level 1: level 6, pg_dump's default, costs several times the CPU and is hardly smaller.
const COMPRESSED: &str = "--compress=1";

/// Not at all, where there is room: the source's snapshot is held for a third of the time, and the
/// files are packed once it is given back.
const PLAIN: &str = "--compress=0";

/// What our own connections speak: the dump's bytes are compared with what they read.
const ENCODING: &str = "--encoding=UTF8";

/// How long the dump waits for a lock before it gives up rather than queue in front of others.
const LOCK_WAIT: &str = "--lock-wait-timeout=10s";

/// How often the snapshot's session says something: what stands between may end a connection that is idle.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// The compressed dump was never seen to be larger than the database; half of it is usual.
const EXPECTED_SHARE: u64 = 2;

/// A plain dump and its packed files are there side by side for a while, and others want room as well.
const PLAIN_ROOM: u64 = 3;

/// What is known of the source.
pub(super) struct Source {
    target: Target,
    pub(super) tables: Columns,
    pub(super) sequences: Sequences,
    pub(super) manifest: ManifestHead,
    pub(super) bytes: u64,
}

/// The part of the manifest that comes from the source's catalogs.
pub(super) struct ManifestHead {
    server: crate::postgres::version::Version,
    pub(super) encoding: String,
    migration: Option<i64>,
    pub(super) surroundings: Surroundings,
    extensions: Vec<String>,
}

/// Makes a backup of the context's target below the configured folder.
///
/// # Errors
/// [`BackupError`], or pg_dump's complaint. Whatever was written is removed.
pub async fn make(cx: &mut Context) -> Result<(PathBuf, Manifest)> {
    let (source, snapshot) = observe(cx).await?;
    let tools = cx.tools(source.manifest.server).await?;
    let folder = cx.backup_folder().join(source.target.name());
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    // pg_dump out of an image is given the same path, so it must be a whole one.
    let folder = folder.canonicalize().map_err(Error::io("find", &folder))?;
    partial::sweep(&folder)?;
    let compression = look_for_room(&folder, source.bytes)?;
    let name = format!("{}-{}", crate::run::timestamp(), source.target.database().replace('/', "_"));
    let under_way = Partial::create(&folder, &name)?;

    let began = Instant::now();
    let made_at = Utc::now();
    let into = under_way.path.join(DUMP_FOLDER);
    let dumping = Dumping {
        tools: &tools,
        source: &source,
        compression,
        jobs: cx.workspace.config.backup.jobs.max(1),
        events: cx.events.clone(),
        cancel: cx.cancel.clone(),
    };
    // The server that the proof needs starts meanwhile.
    let (dumped, sandbox) = tokio::join!(dumping.run(snapshot, &into), proof::sandbox(cx, &tools, source.bytes));
    dumped?;
    sandbox?;
    let dump_ms = milliseconds(began);

    let began = Instant::now();
    let proven = proof::prove(cx, &tools, &under_way.path, &source).await?;
    let proof_ms = milliseconds(began);

    let manifest = Manifest {
        format: FORMAT,
        run_id: cx.run_id.clone(),
        made_at,
        target: source.target.name().to_owned(),
        address: source.target.address(),
        database: source.target.database().to_owned(),
        server: source.manifest.server,
        client: tools.version(),
        encoding: source.manifest.encoding,
        commit: cx.workspace.commit.clone(),
        migration: source.manifest.migration,
        surroundings: source.manifest.surroundings,
        extensions: source.manifest.extensions,
        files: proven.files,
        tables: table_entries(proven.tables),
        sequences: proven.sequences.into_iter().map(|(name, position)| SequenceEntry { name, position }).collect(),
        proof: proven.proof,
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
    }));
    Ok((finished, manifest))
}

fn table_entries(tables: Vec<(TableName, Fingerprint)>) -> Vec<TableEntry> {
    tables
        .into_iter()
        .map(|(name, fingerprint)| TableEntry {
            name,
            rows: fingerprint.rows,
            fingerprint: format!("{:032x}", fingerprint.sum),
        })
        .collect()
}

/// The transaction in which the source was looked at. The dump sees exactly what it saw.
struct Snapshot {
    session: Session,
    name: String,
}

/// What keeps the transaction from being ended while pg_dump works; the later ones are of newer servers.
const NO_TIMEOUTS: &str = "SET idle_in_transaction_session_timeout = 0; \
    SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('transaction_timeout', 'idle_session_timeout')";

impl Snapshot {
    async fn take(mut session: Session) -> Result<Self> {
        let doing = || Stopped::doing("take a snapshot of the database");
        session.execute(NO_TIMEOUTS).await.map_err(doing())?;
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(doing())?;
        let rows = session.fetch_text("SELECT pg_export_snapshot()", 1).await.map_err(doing())?;
        let name = rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0)).unwrap_or_default();
        Ok(Self { session, name })
    }
}

async fn observe(cx: &Context) -> Result<(Source, Snapshot)> {
    let session = cx.connect_to_read("backup").await?;
    cx.tell(&session);
    pooler::refuse_known(&session)?;
    let mut snapshot = Snapshot::take(session).await?;
    let session = &mut snapshot.session;
    let overview = catalog::overview(session).await?;
    let history = History::read(session, &cx.workspace.config.history_table).await?;
    // Our own tables and sqlx's are in the dump as well.
    let tables = contents::all_tables(session).await?;
    let source = Source {
        target: session.target().clone(),
        tables,
        sequences: sequences::read(session, None).await?,
        bytes: overview.size,
        manifest: ManifestHead {
            server: session.version(),
            encoding: encoding(session).await?,
            migration: history.latest_finished(),
            surroundings: catalog::surroundings(session, &overview).await?,
            extensions: catalog::extensions(session).await?,
        },
    };
    Ok((source, snapshot))
}

async fn encoding(session: &mut Session) -> Result<String> {
    let rows = session
        .fetch_text("SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()", 1)
        .await
        .map_err(Stopped::doing("look at the database's encoding"))?;
    Ok(rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0)).unwrap_or_else(|| "UTF8".into()))
}

/// What pg_dump is run with.
struct Dumping<'a> {
    tools: &'a Tools,
    source: &'a Source,
    compression: &'static str,
    jobs: usize,
    events: Emitter,
    cancel: CancellationToken,
}

impl Dumping<'_> {
    async fn run(&self, mut snapshot: Snapshot, into: &Path) -> Result<()> {
        let arguments = [
            "--format=directory".to_owned(),
            format!("--file={}", into.display()),
            format!("--jobs={}", self.jobs),
            self.compression.to_owned(),
            ENCODING.to_owned(),
            LOCK_WAIT.to_owned(),
            "--no-password".to_owned(),
            format!("--snapshot={}", snapshot.name),
            // What is kept of it is written to the disk when it has been packed.
            "--no-sync".to_owned(),
        ];
        let invocation = Invocation {
            program: "pg_dump",
            arguments: &arguments,
            target: &self.source.target,
            purpose: "backup",
            folder: into.parent(),
        };
        let work = self.tools.run(&invocation, &self.cancel);
        let mut work = std::pin::pin!(work);
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut sign_of_life = tokio::time::interval(SIGN_OF_LIFE);
        loop {
            tokio::select! {
                done = &mut work => {
                    snapshot.session.close().await;
                    return done.map(drop);
                }
                // pg_dump's workers take the snapshot over when it starts; one that is lost before fails there.
                _ = sign_of_life.tick() => drop(snapshot.session.execute("SELECT 1").await),
                _ = tick.tick() => {
                    let written = size_of(into);
                    self.events.emit(EventKind::Progress(Progress {
                        unit: "bytes".into(),
                        done: written,
                        total: None,
                        what: "pg_dump".into(),
                        per_second: None,
                        left_ms: None,
                    }));
                }
            }
        }
    }
}

fn size_of(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum())
        .unwrap_or_default()
}

/// Looks whether the dump has room, and chooses how it is written by how much there is.
fn look_for_room(folder: &Path, database: u64) -> Result<&'static str> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| Error::io("look at the space of", folder)(error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let needed = database / EXPECTED_SHARE;
    if free < needed {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        return Err(
            BackupError::NoRoom { folder: folder.into(), free: megabytes(free), needed: megabytes(needed) }.into()
        );
    }
    Ok(if free / PLAIN_ROOM > database { PLAIN } else { COMPRESSED })
}
