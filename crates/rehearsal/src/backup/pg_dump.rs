//! pg_dump of one snapshot, watched while it works and seen gone afterwards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::codec::Codec;
use super::source::{Snapshot, Source};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{Emitter, EventKind, Progress, milliseconds};
use crate::postgres::leftover;
use crate::postgres::session::Session;
use crate::postgres::tools::{Invocation, Tools};

/// Not at all, where there is room: the source's snapshot is given back as soon as its rows are written, whether
/// they are packed by then or not.
pub(super) const PLAIN: &str = "--compress=0";

/// What our own connections speak: the dump's bytes are compared with what they read. Without an encoding of its own
/// a database holds any bytes, and gives them as they are.
pub(super) fn encoding(of_database: &str) -> String {
    format!("--encoding={}", if of_database == NO_ENCODING { NO_ENCODING } else { "UTF8" })
}

/// How PostgreSQL calls an encoding that is none.
const NO_ENCODING: &str = "SQL_ASCII";

/// How long the dump waits for a lock before it gives up rather than queue in front of others.
const LOCK_WAIT: &str = "--lock-wait-timeout=10s";

/// How often the snapshot's session says something: what stands between may end a connection that is idle.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// How often the dump's files are looked at for the progress.
const LOOK: Duration = Duration::from_millis(250);

/// How long sessions of a pg_dump that is gone may take to end by themselves, and then once they were told to.
const SESSIONS_GRACE: Duration = Duration::from_secs(5);

/// What pg_dump is run with.
pub(super) struct Dumping<'a> {
    tools: &'a Tools,
    source: &'a Source,
    compression: &'static str,
    jobs: usize,
    purpose: String,
    events: Emitter,
    cancel: CancellationToken,
}

impl<'a> Dumping<'a> {
    pub(super) fn new(
        cx: &Context,
        tools: &'a Tools,
        source: &'a Source,
        compression: &'static str,
        stop: &CancellationToken,
    ) -> Self {
        // Its sessions are told from those of another dump by the run's own letters.
        let letters = cx.run_id.rsplit('-').next().unwrap_or_default();
        Self {
            tools,
            source,
            compression,
            jobs: cx.workspace.config.backup.jobs.max(1),
            purpose: format!("pg_dump-{letters}"),
            events: cx.events.clone(),
            cancel: stop.clone(),
        }
    }

    /// Dumps into a folder that is not there yet.
    ///
    /// # Errors
    /// pg_dump's complaint, or [`Error::Interrupted`]; its sessions are gone by then.
    pub(super) async fn run(&self, snapshot: Snapshot, into: &Path) -> Result<()> {
        let outcome = self.dump(snapshot, into).await;
        if outcome.is_err() {
            self.see_sessions_gone().await;
        }
        outcome
    }

    async fn dump(&self, mut snapshot: Snapshot, into: &Path) -> Result<()> {
        let arguments = [
            "--format=directory".to_owned(),
            format!("--file={}", into.display()),
            format!("--jobs={}", self.jobs),
            self.compression.to_owned(),
            encoding(&self.source.encoding),
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
            purpose: &self.purpose,
            folder: into.parent(),
            list: None,
        };
        let began = Instant::now();
        let work = self.tools.run(&invocation, &self.cancel);
        let mut work = std::pin::pin!(work);
        let mut tick = tokio::time::interval(LOOK);
        let mut sign_of_life = tokio::time::interval(SIGN_OF_LIFE);
        loop {
            tokio::select! {
                done = &mut work => {
                    snapshot.session.close().await;
                    return done.map(drop);
                }
                // pg_dump's workers take the snapshot over when it starts; one that is lost before fails there.
                _ = sign_of_life.tick() => drop(snapshot.session.execute("SELECT 1").await),
                _ = tick.tick() => self.tell(into, began),
            }
        }
    }

    /// A table's file is there from when its rows begin to come.
    fn tell(&self, into: &Path, began: Instant) {
        let mut files = files(into);
        if self.compression == PLAIN {
            // What is packed of it meanwhile is not pg_dump's.
            files.retain(|(path, _)| path.to_str().and_then(Codec::of).is_none());
        }
        let tables = files.iter().filter(|(path, _)| is_of_a_table(path)).count().min(self.source.tables.len());
        let done: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        self.events.emit(EventKind::Progress(Progress {
            unit: "bytes".into(),
            done,
            total: None,
            what: format!("pg_dump, table {tables} of {}", self.source.tables.len()),
            // Of the whole dump: what is worked on has another name with each table.
            per_second: done.saturating_mul(1000).checked_div(milliseconds(began)),
            left_ms: None,
        }));
    }

    /// The workers of a leader that was killed go on in the server, with their locks and their snapshot.
    async fn see_sessions_gone(&self) {
        let name = format!("rehearsal/{}", self.purpose);
        // Not the user's wish to stop: that has been obeyed, and this is what is left to do.
        let cancel = CancellationToken::new();
        // Where the server itself is gone, so are they.
        let Ok(mut session) = Session::connect(&self.source.target, "backup", &cancel).await else { return };
        match leftover::see_gone(&mut session, &name, SESSIONS_GRACE).await {
            Ok(0) => {}
            Ok(left) => self.events.warn(format!("{left} sessions of pg_dump ({name}) are still at work")),
            Err(Error::Interrupted) => {}
            Err(error) => self.events.warn(format!("whether pg_dump's sessions have ended is not known: {error}")),
        }
        session.close().await;
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok())
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())))
        .collect()
}

/// `3412.dat`, `3412.dat.gz`; the others are large objects and lists.
fn is_of_a_table(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(|first: char| first.is_ascii_digit()))
}
