//! What killed runs left behind is removed at the next start.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::local::FOLDER_PREFIX;
use crate::error::{Error, Result};
use crate::process::{self, State};

/// Says whose sandbox a folder is: that process's identity.
const OWNER_FILE: &str = "owner";

/// Says that the user wants it to stay.
const KEPT_FILE: &str = "kept";

/// A folder without an owner may belong to a run that is just making it.
const UNOWNED_AGE: Duration = Duration::from_secs(60);

/// Marks a folder as this process's.
pub(super) fn claim(folder: &Path) -> Result<()> {
    let file = folder.join(OWNER_FILE);
    fs::write(&file, process::identity()).map_err(Error::io("write", &file))
}

/// Marks a folder as one to be left alone.
pub(super) fn mark_kept(folder: &Path) -> Result<()> {
    let file = folder.join(KEPT_FILE);
    fs::write(&file, "").map_err(Error::io("write", &file))
}

/// Ends servers and removes folders whose owner is gone. What cannot be removed is left for another
/// time: a sweep never stops the run that it comes before.
pub(super) fn folders(bases: &[&Path]) {
    for base in bases {
        let Ok(entries) = fs::read_dir(base) else { continue };
        for entry in entries.filter_map(std::io::Result::ok) {
            let folder = entry.path();
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER_PREFIX));
            if ours && !folder.join(KEPT_FILE).exists() && is_abandoned(&folder) {
                end_server(&folder.join("data"));
                let _ = fs::remove_dir_all(&folder);
            }
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    match fs::read_to_string(folder.join(OWNER_FILE)) {
        Ok(owner) => process::state(&owner) == State::Gone,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fs::metadata(folder)
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok())
            .is_some_and(|age| age > UNOWNED_AGE),
        Err(_) => false,
    }
}

/// Ends the postmaster of a data folder, if the pid in its file is still that postmaster's.
fn end_server(data: &Path) {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return };
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()) else { return };
    let runs_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data);
    if runs_there && let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
