//! Migration files, read as sqlx reads them and checked more strictly than it does.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sqlx::migrate::{Migration as SqlxMigration, MigrationType, Migrator, ResolveConfig};

use crate::error::Kind;
use crate::statement::{self, Parsed};
use crate::tolerance::Tolerance;

/// What a file opens with whose statements each are a transaction of their own.
const NO_TRANSACTION: &str = "-- no-transaction";

/// The SHA-384 that sqlx keeps in `_sqlx_migrations.checksum`.
pub type Checksum = Vec<u8>;

/// One direction of a migration: the file and its text.
#[derive(Debug, Clone)]
pub struct Script {
    /// Where it stands, for messages. Embedded migrations have only a name.
    pub path: PathBuf,
    /// Its text, unchanged.
    pub sql: String,
    /// It opens with `-- no-transaction`.
    pub no_transaction: bool,
    /// What sqlx records, of the up file.
    pub checksum: Checksum,
    /// Its statements, once somebody has asked for them.
    pub(crate) parsed: Arc<OnceLock<Arc<Parsed>>>,
}

impl Script {
    /// Its statements. Several steps of a run plan the same files: each is parsed once.
    ///
    /// # Errors
    /// As [`statement::parse`].
    pub fn parsed(&self) -> Result<&Arc<Parsed>, SourceError> {
        if let Some(parsed) = self.parsed.get() {
            return Ok(parsed);
        }
        let parsed = statement::parse(self)?;
        Ok(self.parsed.get_or_init(|| Arc::new(parsed)))
    }
}

/// A version with its way there and, if there is one, its way back.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The number that opens the file's name.
    pub version: i64,
    /// The rest of the name, underscores as blanks.
    pub description: String,
    /// The way there.
    pub up: Script,
    /// The way back. A plain `N_name.sql` has none.
    pub down: Option<Script>,
}

impl Migration {
    /// Whether `recorded` is this file's checksum but for carriage returns: a checkout on another
    /// system changed the line ends, not the SQL.
    #[must_use]
    pub fn differs_only_in_line_ends(&self, recorded: &[u8]) -> bool {
        let unix = self.up.sql.replace("\r\n", "\n");
        let windows = unix.replace('\n', "\r\n");
        [unix, windows].iter().any(|sql| checksum(sql) == recorded)
    }
}

/// All migrations of a workspace, in order, each version once.
#[derive(Debug, Clone, Default)]
pub struct MigrationSet {
    migrations: Vec<Migration>,
    ignored_files: Vec<PathBuf>,
    tolerance: Tolerance,
    history_table: Option<String>,
}

/// Why a migrations folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such folder, or it cannot be read.
    #[error("cannot read the migrations in {}: {reason}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// The system's or sqlx's words.
        reason: String,
    },
    /// Two files claim one version.
    #[error("version {version} has two files: {} and {}", first.display(), second.display())]
    Duplicate {
        /// The version.
        version: i64,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A way back from where no way leads.
    #[error("{} has no up file", down.display())]
    DownWithoutUp {
        /// The lonely file.
        down: PathBuf,
    },
    /// A statement that cannot be run as part of a migration.
    #[error("{}:{line}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Line in it, from 1.
        line: usize,
        /// What stands there.
        what: String,
        /// What to write instead.
        instead: String,
    },
}

impl SourceError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Usage
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => {
                "check `migrations` in rehearsal.toml, or run the command in the workspace that has the folder".into()
            }
            Self::Duplicate { second, .. } => {
                format!("give {} the next free number; versions are applied once", second.display())
            }
            Self::DownWithoutUp { down } => {
                format!("restore the up file beside it, or delete {}", down.display())
            }
            Self::Unsupported { instead, .. } => instead.clone(),
        }
    }
}

impl MigrationSet {
    /// Reads a folder in sqlx's format (`N_name.up.sql` with `N_name.down.sql`, or `N_name.sql`).
    ///
    /// # Errors
    /// [`SourceError`] for an unreadable folder, two files with one version, a down without an up.
    pub fn from_folder(folder: &Path) -> Result<Self, SourceError> {
        let unreadable = |reason: String| SourceError::Unreadable { folder: folder.into(), reason };
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable(error.to_string()))?;
        let resolved = sqlx::migrate::resolve_blocking_with_config(folder, &ResolveConfig::new())
            .map_err(|error| unreadable(error.to_string()))?;
        let canonical = folder.canonicalize().unwrap_or_else(|_| folder.into());
        // By name: all of them are in this one folder, and asking the system for each file's whole
        // path again took longer than reading them.
        let read: BTreeSet<OsString> =
            resolved.iter().filter_map(|(_, path)| path.file_name().map(Into::into)).collect();
        let mut set = Self::assemble(resolved.into_iter().map(|(migration, path)| {
            // sqlx canonicalises: messages speak of the folder as the user wrote it.
            let path = path.strip_prefix(&canonical).map_or(path.clone(), |name| folder.join(name));
            (migration, path)
        }))?;
        set.ignored_files = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
            .filter(|path| path.file_name().is_some_and(|name| !read.contains(name)) && path.is_file())
            .collect();
        set.ignored_files.sort();
        Ok(set)
    }

    /// Takes the migrations that a program has embedded.
    ///
    /// # Errors
    /// As [`MigrationSet::from_folder`].
    pub fn from_embedded(migrator: &Migrator) -> Result<Self, SourceError> {
        Self::assemble(migrator.iter().map(|migration| {
            let name = format!(
                "{}_{}{}",
                migration.version,
                migration.description.replace(' ', "_"),
                migration.migration_type.suffix()
            );
            (migration.clone(), PathBuf::from(name))
        }))
    }

    fn assemble(files: impl Iterator<Item = (SqlxMigration, PathBuf)>) -> Result<Self, SourceError> {
        let mut ups: BTreeMap<i64, Migration> = BTreeMap::new();
        let mut downs: BTreeMap<i64, Script> = BTreeMap::new();
        for (migration, path) in files {
            let script = Script {
                path,
                sql: migration.sql.as_str().to_owned(),
                // As sqlx tells it, but for a byte order mark, behind which it does not look.
                no_transaction: migration.no_tx || without_mark(migration.sql.as_str()).starts_with(NO_TRANSACTION),
                checksum: migration.checksum.to_vec(),
                parsed: Arc::default(),
            };
            let version = migration.version;
            let earlier = if migration.migration_type == MigrationType::ReversibleDown {
                downs.insert(version, script.clone()).map(|down| down.path)
            } else {
                let new = Migration {
                    version,
                    description: migration.description.clone().into_owned(),
                    up: script.clone(),
                    down: None,
                };
                ups.insert(version, new).map(|migration| migration.up.path)
            };
            if let Some(earlier) = earlier {
                let mut both = [earlier, script.path];
                both.sort();
                let [first, second] = both;
                return Err(SourceError::Duplicate { version, first, second });
            }
        }
        for (version, down) in downs {
            match ups.get_mut(&version) {
                Some(migration) => migration.down = Some(down),
                None => return Err(SourceError::DownWithoutUp { down: down.path }),
            }
        }
        Ok(Self { migrations: ups.into_values().collect(), ..Self::default() })
    }

    /// The same files, recorded in that table, of which this is accepted.
    #[must_use]
    pub fn recorded_in(self, table: &str, tolerance: Tolerance) -> Self {
        Self { tolerance, history_table: Some(table.to_owned()), ..self }
    }

    /// The table in which they are recorded, as SQL writes it, where that was said.
    #[must_use]
    pub fn history_table(&self) -> Option<&str> {
        self.history_table.as_deref()
    }

    /// What is accepted of a history that does not fit the files.
    #[must_use]
    pub fn tolerance(&self) -> &Tolerance {
        &self.tolerance
    }

    /// The migrations in the order of their versions.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Migration> {
        self.migrations.iter()
    }

    /// The migration of that version.
    #[must_use]
    pub fn get(&self, version: i64) -> Option<&Migration> {
        self.migrations
            .binary_search_by_key(&version, |migration| migration.version)
            .ok()
            .map(|index| &self.migrations[index])
    }

    /// The newest version.
    #[must_use]
    pub fn latest(&self) -> Option<i64> {
        self.migrations.last().map(|migration| migration.version)
    }

    /// `.sql` files whose names sqlx passes over in silence.
    #[must_use]
    pub fn ignored_files(&self) -> &[PathBuf] {
        &self.ignored_files
    }
}

/// A file's text without the byte order mark that some editors put before it. The server takes it for SQL.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// sqlx's checksum of a migration's text.
#[must_use]
pub fn checksum(sql: &str) -> Checksum {
    use sha2::Digest;
    sha2::Sha384::digest(sql).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (name, sql) in files {
            std::fs::write(folder.path().join(name), sql).expect("written");
        }
        folder
    }

    #[test]
    fn two_files_with_one_version_are_refused_whatever_their_width() {
        let folder = folder(&[("1_a.up.sql", ""), ("0001_b.up.sql", "")]);
        let error = MigrationSet::from_folder(folder.path()).expect_err("refused");
        assert!(matches!(error, SourceError::Duplicate { version: 1, .. }), "{error}");
    }

    #[test]
    fn a_down_file_alone_is_refused() {
        let folder = folder(&[("2_a.down.sql", "")]);
        let error = MigrationSet::from_folder(folder.path()).expect_err("refused");
        assert!(matches!(error, SourceError::DownWithoutUp { .. }), "{error}");
    }

    #[test]
    fn names_that_sqlx_passes_over_are_told() {
        let folder = folder(&[("1_a.sql", "select 1"), ("notes.sql", "")]);
        let set = MigrationSet::from_folder(folder.path()).expect("reads");
        assert_eq!(set.ignored_files(), [folder.path().join("notes.sql")]);
        assert_eq!(set.latest(), Some(1));
    }

    #[test]
    fn a_change_of_line_ends_alone_is_recognised() {
        let folder = folder(&[("1_a.sql", "select 1;\r\nselect 2;\r\n")]);
        let set = MigrationSet::from_folder(folder.path()).expect("reads");
        let migration = set.get(1).expect("there");
        assert!(migration.differs_only_in_line_ends(&checksum("select 1;\nselect 2;\n")));
        assert!(!migration.differs_only_in_line_ends(&checksum("select 1;\nselect 3;\n")));
    }
}
