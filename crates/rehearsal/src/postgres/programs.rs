//! PostgreSQL's programs on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::version::Version;

/// A folder with PostgreSQL programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The folder.
    pub folder: PathBuf,
    /// What its programs say.
    pub version: Version,
    /// `postgres` and `initdb` are there, not only the client.
    pub has_server: bool,
}

/// Where distributions, Homebrew, the EDB installer and Postgres.app put versions side by side.
/// `*` stands for one path component.
const USUAL_FOLDERS: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/postgresql/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// Finds installations: the named folders first, then `path` (that of the environment), what
/// `pg_config` on it says, and the usual folders. Each folder once, newest version first.
#[must_use]
pub fn find(configured: &[PathBuf], path: &[PathBuf]) -> Vec<Installation> {
    let from_pg_config = path
        .iter()
        .map(|folder| folder.join("pg_config"))
        .filter(|program| program.is_file())
        .filter_map(|program| output(&program, "--bindir"))
        .map(|folder| PathBuf::from(folder.trim()));
    let candidates = configured
        .iter()
        .cloned()
        .chain(path.iter().cloned())
        .chain(from_pg_config)
        .chain(USUAL_FOLDERS.iter().flat_map(|pattern| expand(pattern)));
    let mut seen = Vec::new();
    let mut found: Vec<Installation> = Vec::new();
    for folder in candidates {
        let Ok(folder) = folder.canonicalize() else { continue };
        if seen.contains(&folder) {
            continue;
        }
        seen.push(folder.clone());
        found.extend(inspect(&folder));
    }
    // A stable sort: of equal versions the one that was named first stays first.
    found.sort_by_key(|installation| std::cmp::Reverse(installation.version));
    found
}

/// What a folder holds, if it holds a pg_dump of its own.
#[must_use]
pub fn inspect(folder: &Path) -> Option<Installation> {
    let program = folder.join("pg_dump");
    // Debian's /usr/bin/pg_dump is a script that picks a version by the machine's own clusters.
    let real = program.canonicalize().ok()?;
    if real.file_name()? != "pg_dump" {
        return None;
    }
    let version = output(&program, "--version")?.parse().ok()?;
    let has_server = folder.join("postgres").is_file() && folder.join("initdb").is_file();
    Some(Installation { folder: folder.into(), version, has_server })
}

fn output(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|folder| folder.join(part)).collect(),
            Some((before, after)) => found
                .into_iter()
                .filter_map(|folder| std::fs::read_dir(folder).ok())
                .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
                .filter(|path| {
                    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
                        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
                    })
                })
                .collect(),
        };
    }
    found
}

/// Finds an unpacked archive's programs: `FOLDER/bin` or `FOLDER/*/bin`.
#[must_use]
pub fn find_under(folder: &Path) -> Option<Installation> {
    let below = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    std::iter::once(folder.to_owned())
        .chain(below)
        .filter_map(|candidate| inspect(&candidate.join("bin")))
        .find(|installation| installation.has_server)
}
