//! What is seen of the database in the very snapshot that is dumped.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::error::Result;
use crate::postgres::catalog::{self, Surroundings};
use crate::postgres::contents::{self, Columns, Dumped, TableName};
use crate::postgres::files::{self, Files};
use crate::postgres::history::History;
use crate::postgres::locks::Lock;
use crate::postgres::pooler;
use crate::postgres::query::Stopped;
use crate::postgres::sequences::{self, Sequences};
use crate::postgres::session::Session;
use crate::postgres::strays::{self, Stray};
use crate::postgres::version::Version;
use crate::target::Target;

use super::failure::BackupError;
use super::large_objects::{self, Listed};
use super::manifest::{Locale, Origin};

/// What is known of the source.
pub(super) struct Source {
    pub(super) target: Target,
    pub(super) server: Version,
    pub(super) bytes: u64,
    pub(super) lsn: Option<String>,
    pub(super) origin: Origin,
    pub(super) encoding: String,
    pub(super) locale: Option<Locale>,
    pub(super) applied: Vec<i64>,
    pub(super) migration: Option<i64>,
    pub(super) unfinished: Option<i64>,
    pub(super) surroundings: Surroundings,
    pub(super) extensions: Vec<String>,
    pub(super) tables: Columns,
    /// Which of them the rows of a table are compared with, by the table's oid.
    pub(super) units: BTreeMap<i64, TableName>,
    pub(super) sequences: Sequences,
    pub(super) large_objects: Listed,
    pub(super) strays: Vec<Stray>,
    pub(super) unregistered: Vec<String>,
    pub(super) invalid_indexes: Vec<String>,
    files: Files,
}

impl Source {
    /// What no dump of it holds, one phrase each.
    pub(super) fn left_out(&self) -> Vec<String> {
        let indexes = self.invalid_indexes.iter().map(|index| format!("the INVALID index {index}"));
        let strays = self.strays.iter().map(|stray| format!("the {stray} in {}", stray.schema));
        indexes.chain(strays).chain(self.unregistered.iter().cloned()).collect()
    }
}

/// The transaction in which the source was looked at. The dump sees exactly what it saw.
pub(super) struct Snapshot {
    pub(super) session: Session,
    pub(super) name: String,
}

/// What keeps the transaction from being ended while pg_dump works; the later ones are of newer servers.
const NO_TIMEOUTS: &str = "SET idle_in_transaction_session_timeout = 0; \
    SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('transaction_timeout', 'idle_session_timeout')";

/// Where the WAL stands. Asked before the transaction: servers that are not quite PostgreSQL refuse it.
const LSN: &str =
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text";

const WHERE_FROM: &str = "\
    SELECT d.oid::text, pg_encoding_to_char(d.encoding), datcollate, datctype, \
           CASE to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END, \
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') \
    FROM pg_database d WHERE datname = current_database()";

impl Snapshot {
    async fn take(mut session: Session) -> Result<(Self, Option<String>)> {
        let doing = || Stopped::doing("take a snapshot of the database");
        session.execute(NO_TIMEOUTS).await.map_err(doing())?;
        let lsn = session.fetch_text(LSN, 1).await.ok().and_then(|mut rows| rows.rows.pop()?.pop()?);
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(doing())?;
        let rows = session.fetch_text("SELECT pg_export_snapshot()", 1).await.map_err(doing())?;
        let name = rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0)).unwrap_or_default();
        Ok((Self { session, name }, lsn))
    }
}

/// Looks at the target. The snapshot's session holds the run's lock for as long as it lives, so that no
/// migration of ours queues behind the dump's locks; dumps share it.
///
/// # Errors
/// The server's, or [`crate::postgres::BusyError`] when a migration is under way.
pub(super) async fn observe(cx: &Context) -> Result<(Source, Snapshot)> {
    let mut session = cx.connect_to_read("backup").await?;
    cx.tell(&session);
    pooler::refuse_known(&session)?;
    let patience = cx.workspace.config.limits.run_lock_patience;
    Lock::Run.share(&mut session, patience, cx.events.waits_for_run(patience)).await?;
    let (mut snapshot, lsn) = Snapshot::take(session).await?;
    let session = &mut snapshot.session;
    let overview = catalog::overview(session).await?;
    let history = History::read(session, &cx.workspace.config.history_table).await?;
    let (origin, encoding, locale) = place(session).await?;
    // Our own tables and sqlx's are in the dump as well.
    let Dumped { tables, units } = contents::dumped(session).await?;
    let source = Source {
        target: session.target().clone(),
        server: session.version(),
        bytes: overview.size,
        lsn,
        origin,
        encoding,
        locale,
        applied: history.iter().filter(|row| row.success).map(|row| row.version).collect(),
        migration: history.latest_finished(),
        unfinished: history.unfinished().map(|row| row.version),
        surroundings: catalog::surroundings(session, &overview).await?,
        extensions: catalog::extensions(session).await?,
        tables,
        units,
        sequences: sequences::read(session, None).await?,
        large_objects: large_objects::list(session).await?,
        strays: strays::read(session).await?,
        unregistered: strays::unregistered(session).await?,
        invalid_indexes: catalog::invalid_indexes(session).await?,
        files: files::read(session).await?,
    };
    Ok((source, snapshot))
}

/// Looks whether tables were rewritten or emptied since the snapshot, before the dump could lock them: of
/// those the dump has no rows.
///
/// # Errors
/// [`BackupError::Rewritten`], or the server's.
pub(super) async fn is_as_it_was(cx: &Context, source: &Source) -> Result<()> {
    let mut session = cx.connect_to_read("backup").await?;
    let now = files::read(&mut session).await?;
    session.close().await;
    let tables: Vec<String> = files::rewritten(&source.files, &now).map(ToString::to_string).collect();
    if tables.is_empty() { Ok(()) } else { Err(BackupError::Rewritten { tables }.into()) }
}

/// Which database it is, and how it sorts.
async fn place(session: &mut Session) -> Result<(Origin, String, Option<Locale>)> {
    let doing = || Stopped::doing("look at the database's encoding");
    let rows = session.fetch_text(WHERE_FROM, 1).await.map_err(doing())?;
    let row = rows.rows.into_iter().next().ok_or(Stopped::Failed(sqlx::Error::RowNotFound)).map_err(doing())?;
    let text = |index: usize| row.get(index).cloned().flatten();
    let system_identifier = catalog::system_identifier(session).await?;
    let origin =
        Origin { system_identifier, database_oid: text(0).and_then(|oid| oid.parse().ok()).unwrap_or_default() };
    let locale = Locale {
        collate: text(2).unwrap_or_default(),
        ctype: text(3).unwrap_or_default(),
        provider: text(4).unwrap_or_default(),
        locale: text(5),
    };
    Ok((origin, text(1).unwrap_or_else(|| "UTF8".into()), Some(locale)))
}
