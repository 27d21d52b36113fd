//! A data folder fresh from initdb, made once per version and copied for each sandbox.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::local::Account;
use super::provider::SandboxError;
use super::sandbox::SUPERUSER;
use crate::error::{Error, Result};
use crate::postgres::programs::Installation;
use crate::postgres::schema::hex;

/// Goes up when the arguments below change: an older template is not used then.
const GENERATION: &str = "2";

const INITDB: &[&str] = &[
    "--auth=trust", // the socket's folder is ours alone, and nothing listens on TCP
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
    "--wal-segsize=1", // 1 MiB instead of 16: less to copy
    "--no-instructions",
];

/// Gives the template's folder, making it if it is not there. `scratch` is where it is made.
pub(super) fn ensure(
    installation: &Installation,
    cache: &Path,
    scratch: &Path,
    account: Option<&Account>,
) -> Result<PathBuf> {
    let place = hex(&Sha256::digest(installation.folder.as_os_str().as_encoded_bytes()));
    let template = cache.join("templates").join(format!("{}-{GENERATION}-{}", installation.version, &place[..8]));
    if template.join("PG_VERSION").is_file() {
        return Ok(template);
    }
    let parent = cache.join("templates");
    fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
    let work = tempfile::Builder::new()
        .prefix("rehearsal-initdb-")
        .tempdir_in(scratch)
        .map_err(Error::io("create a folder in", scratch))?;
    let data = work.path().join("data");
    if let Some(account) = account {
        chown(work.path(), Some(account.uid), Some(account.gid)).map_err(Error::io("hand over", work.path()))?;
    }
    initdb(installation, &data, &["--lc-ctype=C.UTF-8"], account)
        // Not every C library has C.UTF-8 (macOS, older musl).
        .or_else(|_| {
            let _ = fs::remove_dir_all(&data);
            initdb(installation, &data, &[], account)
        })?;
    // Copied beside its place first: whoever looks sees all of it or nothing.
    let staged = tempfile::Builder::new()
        .prefix("staged-")
        .tempdir_in(&parent)
        .map_err(Error::io("create a folder in", &parent))?;
    let staged_data = staged.path().join("data");
    copy(&data, &staged_data, None)?;
    match fs::rename(&staged_data, &template) {
        Ok(()) => Ok(template),
        // Another run was faster.
        Err(_) if template.join("PG_VERSION").is_file() => Ok(template),
        Err(error) => Err(Error::io("create", &template)(error)),
    }
}

fn initdb(installation: &Installation, data: &Path, extra: &[&str], account: Option<&Account>) -> Result<()> {
    let program = installation.folder.join("initdb");
    let mut command = Command::new(&program);
    command
        .args(INITDB)
        .arg(format!("--username={SUPERUSER}"))
        .args(extra)
        .arg("-D")
        .arg(data)
        .current_dir("/")
        .stdin(Stdio::null());
    super::local::become_account(&mut command, account);
    let unavailable = |reason: String| SandboxError::Start { provider: "local", log: reason };
    let output = command.output().map_err(|error| unavailable(format!("{}: {error}", program.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("initdb failed");
    Err(unavailable(line.trim().to_owned()).into())
}

/// Copies a data folder; files get the modes that PostgreSQL asks for, and the account if one is named.
pub(super) fn copy(from: &Path, to: &Path, account: Option<&Account>) -> Result<()> {
    fs::create_dir(to).map_err(Error::io("create", to))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).map_err(Error::io("set the mode of", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type().map_err(Error::io("read", entry.path()))?;
        if kind.is_dir() {
            copy(&entry.path(), &target, account)?;
        } else {
            fs::copy(entry.path(), &target).map_err(Error::io("copy", entry.path()))?;
            if let Some(account) = account {
                chown(&target, Some(account.uid), Some(account.gid)).map_err(Error::io("hand over", &target))?;
            }
        }
    }
    if let Some(account) = account {
        chown(to, Some(account.uid), Some(account.gid)).map_err(Error::io("hand over", to))?;
    }
    Ok(())
}
