//! Room on this machine: whether the folders can be written, and how much is free there.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::finding::{Area, Finding};
use crate::config::Config;
use crate::context::Environment;
use crate::error::Kind;
use crate::providers::local::{RESERVE, ROOM_FACTOR};
use crate::report::format::{bytes, path};

/// Below this, a disk is as good as full: what a sandbox in memory leaves to everybody else.
const LEAST_FREE: u64 = RESERVE;

/// Looks at the folders of backups, records, the cache and throwaway data. `size` is the database's, in bytes.
/// A file system that hangs makes it hang.
#[must_use]
pub fn look(config: &Config, environment: &Environment, size: Option<u64>) -> Vec<Finding> {
    let size = size.unwrap_or_default();
    let backups = match config.backup.to.folder() {
        Some(folder) if !config.backup.is_staged() => folder,
        _ => &config.backup.staging,
    };
    // A dump is written as it comes where there is room, and packed beside it.
    [
        ("backups", backups.to_owned(), size.saturating_mul(2)),
        ("records", config.records.to.clone(), 0),
        ("the cache", environment.cache.clone(), 0),
        ("throwaway servers", environment.temporary.clone(), size.saturating_mul(ROOM_FACTOR)),
    ]
    .into_iter()
    .map(|(purpose, folder, needed)| folder_of(purpose, &folder, needed))
    .collect()
}

fn folder_of(purpose: &str, folder: &Path, needed: u64) -> Finding {
    let shown = path(folder);
    let there = nearest(folder);
    if let Err(error) = access(&there, Access::WRITE_OK | Access::EXEC_OK) {
        return Finding::problem(
            Area::Disk,
            Kind::Failed,
            format!("{shown}, for {purpose}, cannot be written: {error}"),
            format!("let {} be written by you, or name another folder", path(&there)),
        );
    }
    let Ok(stat) = statvfs(&there) else {
        return Finding::warning(
            Area::Disk,
            format!("{shown}, for {purpose}: how much is free there cannot be told"),
            "see that there is room before a long run",
        );
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let figures = format!("{shown}, for {purpose}: {} free", bytes(free));
    if free >= needed.max(LEAST_FREE) {
        return Finding::ok(Area::Disk, figures);
    }
    let why = match needed > LEAST_FREE {
        true => format!("a database of that size may need {}", bytes(needed)),
        false => "that is little".to_owned(),
    };
    Finding::warning(Area::Disk, format!("{figures}; {why}"), "free some disk space, or name another folder")
}

/// The folder itself, or the one that it would be made in.
fn nearest(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    whole.ancestors().find(|ancestor| ancestor.is_dir()).map_or(whole.clone(), Path::to_owned)
}
