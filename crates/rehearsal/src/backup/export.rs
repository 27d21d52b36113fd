//! Tables as files for other programs. No backup: nothing restores them, and the manifest has another name.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row};

use super::failure::BackupError;
use super::files::{self, PRIVATE_FILE};
use super::manifest::FileEntry;
use super::partial::{self, Partial};
use super::rows::{Format, Rows, Written};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{EventKind, Progress};
use crate::postgres::contents::{self, TableName};
use crate::postgres::history::History;
use crate::postgres::identifier::qualified;
use crate::postgres::pooler;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::version::Version;

/// The manifest's name. A backup's is another: `restore` must not take the one for the other.
pub const FILE_NAME: &str = "export.json";

/// Version of the manifest's format; it goes up when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// How many bytes go by between two words on progress.
const PROGRESS_EVERY: u64 = 16 * 1024 * 1024;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Names of tables, with their schema or without; `*` stands for anything.
    pub tables: Vec<String>,
    /// How they are written.
    pub format: Format,
}

/// What an export says of itself. Written last: a folder without it is not finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Export {
    /// [`FORMAT`].
    pub format: u32,
    /// The run that made it.
    pub run_id: String,
    /// When its snapshot was taken.
    pub made_at: DateTime<Utc>,
    /// The target's name.
    pub target: String,
    /// Where it is, without a password.
    pub address: String,
    /// The database's name.
    pub database: String,
    /// The server.
    pub server: Version,
    /// The commit of the workspace.
    pub commit: Option<String>,
    /// The newest applied migration.
    pub migration: Option<i64>,
    /// How rows are written.
    pub rows_as: Format,
    /// Every table with its file.
    pub tables: Vec<ExportedTable>,
}

/// One table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportedTable {
    /// Schema and name.
    #[serde(flatten)]
    pub name: TableName,
    /// Its rows: as many as the server counts in the same snapshot.
    pub rows: u64,
    /// Its file.
    pub file: FileEntry,
}

impl Export {
    /// What an export's folder says of itself.
    ///
    /// # Errors
    /// [`BackupError::NoManifest`], [`BackupError::BadManifest`].
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let text = std::fs::read(folder.join(FILE_NAME));
        let text = text.map_err(|_| BackupError::NoManifest { folder: folder.into() })?;
        serde_json::from_slice(&text)
            .map_err(|error| BackupError::BadManifest { folder: folder.into(), reason: error.to_string() })
    }

    /// Compares its files with what it says, byte for byte.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] with every file that is not as it was.
    pub fn check(&self, folder: &Path) -> Result<()> {
        files::check_each(folder, FILE_NAME, self.tables.iter().map(|table| &table.file))
    }

    /// Rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Size of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.file.bytes).sum()
    }
}

/// Writes the wanted tables of the context's target, all of one snapshot, into a new folder beside its
/// backups.
///
/// # Errors
/// [`BackupError::NoSuchTable`], [`BackupError::Miscounted`], the server's and the file system's. Whatever
/// was written is removed.
pub async fn make(cx: &Context, wanted: &Wanted) -> Result<(PathBuf, Export)> {
    let mut session = cx.connect_to_read("export").await?;
    cx.tell(&session);
    pooler::refuse_known(&session)?;
    let history_table = &cx.workspace.config.history_table;
    let migration = History::read(&mut session, history_table).await?.latest_finished();
    let names: Vec<TableName> = contents::tables(&mut session, history_table).await?.into_keys().collect();
    let names = chosen(names, &wanted.tables)?;
    let target = session.target().clone();

    let folder = cx.export_folder().join(target.name());
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    partial::sweep(&folder)?;
    let name = format!("{}-{}-tables", crate::run::timestamp(), target.database().replace('/', "_"));
    let under_way = Partial::create(&folder, &name)?;

    let made_at = Utc::now();
    session.execute(contents::BEGIN).await.map_err(Stopped::doing("begin to read the tables"))?;
    let mut tables = Vec::new();
    for name in names {
        tables.push(table(cx, &mut session, &under_way.path, name, wanted.format).await?);
    }
    session.execute("COMMIT").await.map_err(Stopped::doing("end reading the tables"))?;
    let export = Export {
        format: FORMAT,
        run_id: cx.run_id.clone(),
        made_at,
        target: target.name().to_owned(),
        address: target.address(),
        database: target.database().to_owned(),
        server: session.version(),
        commit: cx.workspace.commit.clone(),
        migration,
        rows_as: wanted.format,
        tables,
    };
    session.close().await;
    let path = under_way.path.join(FILE_NAME);
    let text = serde_json::to_vec_pretty(&export).map_err(|error| Error::io("write", &path)(error.into()))?;
    crate::store::write_whole(&path, &text)?;
    partial::sync(&under_way.path)?;
    let finished = under_way.finish()?;
    partial::sync(&folder)?;
    Ok((finished, export))
}

async fn table(
    cx: &Context,
    session: &mut Session,
    folder: &Path,
    name: TableName,
    format: Format,
) -> Result<ExportedTable> {
    let file_name = file_name(&name, format);
    let path = folder.join(&file_name);
    let mut options = OpenOptions::new();
    let file =
        options.write(true).create_new(true).mode(PRIVATE_FILE).open(&path).map_err(Error::io("create", &path))?;
    let mut rows = Rows::new(format, BufWriter::new(file));
    let quoted = qualified(&name.schema, &name.name);
    let (mut done, mut told) = (0, 0);
    let mut failed = None;
    let feed = |chunk: &[u8]| {
        done += chunk.len() as u64;
        if done - told >= PROGRESS_EVERY {
            told = done;
            cx.events.emit(EventKind::Progress(Progress {
                unit: "bytes".into(),
                done,
                total: None,
                what: name.to_string(),
                per_second: None,
                left_ms: None,
            }));
        }
        rows.feed(chunk).inspect_err(|error| failed = Some(error.kind()))
    };
    let copied = session.copy_out(&format.copy(&quoted), feed).await;
    if let Some(kind) = failed {
        return Err(Error::io("write", &path)(kind.into()));
    }
    copied.map_err(Stopped::doing(format!("read {name}")))?;
    let (Written { rows, bytes, sha256 }, mut out) = rows.finish();
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(Error::io("write", &path))?;

    let count = sqlx::query(AssertSqlSafe(format!("SELECT count(*) FROM ONLY {quoted}")));
    let counted = session.fetch_bound(count).await.map_err(Stopped::doing(format!("count the rows of {name}")))?;
    let counted = counted.first().map_or(0, |row| row.get::<i64, _>(0));
    if u64::try_from(counted).ok() != Some(rows) {
        return Err(BackupError::Miscounted { table: name.to_string(), written: rows, counted }.into());
    }
    Ok(ExportedTable { name, rows, file: FileEntry { path: file_name, bytes, sha256, stored: None } })
}

/// Two tables never get one name, and no name leads out of the folder.
fn file_name(name: &TableName, format: Format) -> String {
    let part = |text: &str| {
        text.chars().fold(String::new(), |mut safe, character| {
            match character {
                '%' | '.' | '/' | '\\' | ':' => safe.push_str(&format!("%{:02X}", u32::from(character))),
                _ if character.is_control() => safe.push_str(&format!("%{:02X}", u32::from(character))),
                _ => safe.push(character),
            }
            safe
        })
    };
    format!("{}.{}.{}", part(&name.schema), part(&name.name), format.as_str())
}

/// The tables that the patterns mean; each of them must mean one at least.
fn chosen(mut tables: Vec<TableName>, patterns: &[String]) -> Result<Vec<TableName>, BackupError> {
    if let Some(pattern) = patterns.iter().find(|pattern| !tables.iter().any(|table| fits(table, pattern))) {
        return Err(BackupError::NoSuchTable { pattern: pattern.clone() });
    }
    tables.retain(|table| patterns.iter().any(|pattern| fits(table, pattern)));
    Ok(tables)
}

/// Whether a table is meant by a pattern.
pub(super) fn fits(table: &TableName, pattern: &str) -> bool {
    like(&table.name, pattern) || like(&table.to_string(), pattern)
}

/// Whether a name is what a pattern says, in which `*` stands for anything.
fn like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(schema: &str, name: &str) -> TableName {
        TableName { schema: schema.into(), name: name.into() }
    }

    #[test]
    fn patterns() {
        for (name, pattern, fits) in [
            ("users", "users", true),
            ("users", "user", false),
            ("users", "*", true),
            ("workshops_userprofile", "workshops_*", true),
            ("accounts_userprofile", "workshops_*", false),
            ("accounts_userprofile", "*_user*file", true),
            ("aa", "a*a", true),
            ("a", "a*a", false),
            ("abab", "*ab", true),
        ] {
            assert_eq!(like(name, pattern), fits, "{name} {pattern}");
        }
        let tables = vec![named("public", "a"), named("s", "a"), named("s", "b")];
        assert_eq!(chosen(tables.clone(), &["s.*".into()]).expect("two"), tables[1..]);
        assert_eq!(chosen(tables.clone(), &["a".into()]).expect("two"), tables[..2]);
        assert!(chosen(tables, &["a".into(), "c".into()]).is_err());
    }

    #[test]
    fn names_of_files_stay_apart_and_inside() {
        let names = [named("a.b", "c"), named("a", "b.c"), named("a", "../../b"), named("a", "..%2F..%2Fb")];
        let mut files: Vec<String> = names.iter().map(|name| file_name(name, Format::Csv)).collect();
        assert_eq!(files[2], "a.%2E%2E%2F%2E%2E%2Fb.csv");
        files.sort();
        files.dedup();
        assert_eq!(files.len(), names.len());
    }
}
