//! The files of a backup: which there are, their digests, and which of them holds which table.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::failure::BackupError;
use super::manifest::{FileEntry, Manifest};
use crate::error::{Error, Result};
use crate::postgres::contents::TableName;
use crate::postgres::schema::hex;

/// How much is read at once.
pub(super) const CHUNK: usize = 256 * 1024;

/// What holds rows is for its owner alone: a file, and a folder.
pub(crate) const PRIVATE_FILE: u32 = 0o600;
pub(crate) const PRIVATE_FOLDER: u32 = 0o700;

/// All files below a folder, sorted, relative to it.
///
/// # Errors
/// The file system's.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for entry in std::fs::read_dir(&current).map_err(Error::io("read", &current))? {
            let path = entry.map_err(Error::io("read", &current))?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Size and digest of one file, which is on the disk when this returns: a backup that counts must
/// outlive a power cut. Whoever may not read the database shall not read it there: it becomes its owner's alone.
///
/// # Errors
/// The file system's.
pub fn keep(folder: &Path, relative: &Path) -> Result<FileEntry> {
    let path = folder.join(relative);
    let settle = |file: File| {
        file.set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
        file.sync_all()
    };
    File::open(&path).and_then(settle).map_err(Error::io("write", &path))?;
    digest(folder, relative)
}

/// Size and digest of one file.
///
/// # Errors
/// The file system's.
pub fn digest(folder: &Path, relative: &Path) -> Result<FileEntry> {
    let path = folder.join(relative);
    let mut file = File::open(&path).map_err(Error::io("read", &path))?;
    let mut digest = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer).map_err(Error::io("read", &path))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        digest.update(&buffer[..read]);
    }
    Ok(FileEntry { path: relative.display().to_string(), bytes, sha256: hex(&digest.finalize()), stored: None })
}

/// Compares a backup's files with its manifest, byte for byte.
///
/// # Errors
/// [`BackupError::Damaged`] with every file that is not as it was.
pub fn check(folder: &Path, manifest: &Manifest) -> Result<()> {
    check_each(folder, super::manifest::FILE_NAME, manifest.files.iter())
}

/// The same of files that another manifest tells of, which lies beside them.
///
/// # Errors
/// [`BackupError::Damaged`] with every file that is not as it was.
pub fn check_each<'a>(folder: &Path, manifest: &str, files: impl Iterator<Item = &'a FileEntry> + Clone) -> Result<()> {
    let mut damage = Vec::new();
    let there = list(folder)?;
    for expected in files.clone() {
        let path = Path::new(&expected.path);
        if !there.iter().any(|other| other == path) {
            damage.push(format!("{} is missing", expected.path));
            continue;
        }
        let found = digest(folder, path)?;
        if found.bytes != expected.bytes {
            damage.push(format!("{} has {} bytes instead of {}", expected.path, found.bytes, expected.bytes));
        } else if found.sha256 != expected.sha256 {
            damage.push(format!("{} has another digest than the manifest says", expected.path));
        }
    }
    for path in there {
        let name = path.display().to_string();
        if name != manifest && !files.clone().any(|file| file.path == name) {
            damage.push(format!("{name} does not belong to it"));
        }
    }
    if damage.is_empty() { Ok(()) } else { Err(BackupError::Damaged { folder: folder.into(), damage }.into()) }
}

/// Which table's rows each file of the dump holds, from what `pg_restore --list` prints:
/// `3412; 0 16385 TABLE DATA public users owner`. By the table's oid in the source: names are written with blanks in
/// the place of line ends and without quotes, so that two of them may read the same.
#[must_use]
pub fn data_files(listing: &str, tables: &BTreeMap<i64, TableName>) -> BTreeMap<u64, TableName> {
    let entry = |line: &str| {
        let (file, rest) = line.split_once("; ")?;
        let (_, rest) = rest.split_once(' ')?;
        let (oid, rest) = rest.split_once(' ')?;
        rest.starts_with("TABLE DATA ").then_some(())?;
        Some((file.parse().ok()?, tables.get(&oid.parse().ok()?)?.clone()))
    };
    listing.lines().filter_map(entry).collect()
}

/// The same by names alone, where nothing is known of the source's oids: of several names that fit a line, the longest
/// counts. Whoever fills tables by it compares them afterwards.
#[must_use]
pub fn data_files_by_name<'a>(
    listing: &str,
    tables: impl Iterator<Item = &'a TableName> + Clone,
) -> BTreeMap<TableName, u64> {
    let written = |name: &str| name.replace(['\n', '\r'], " ");
    let mut files = BTreeMap::new();
    for line in listing.lines().filter(|line| !line.starts_with(';')) {
        let Some((id, rest)) = line.split_once("; ") else { continue };
        let Some((_, name)) = rest.split_once(" TABLE DATA ") else { continue };
        let fits = |table: &&TableName| {
            let start = format!("{} {}", written(&table.schema), written(&table.name));
            name.strip_prefix(&start).is_some_and(|rest| rest.starts_with(' '))
        };
        let table = tables.clone().filter(fits).max_by_key(|table| table.schema.len() + table.name.len());
        if let (Some(table), Ok(id)) = (table, id.parse()) {
            files.insert(table.clone(), id);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_are_told_apart() {
        let names = [("public", "a"), ("public", "a b"), ("s x", "t\nt")]
            .map(|(schema, name)| TableName { schema: schema.into(), name: name.into() });
        let listing = ";\n11; 0 1 TABLE DATA public a b me\n12; 0 2 TABLE DATA public a me\n13; 0 3 TABLE DATA s x t t me\n\
            14; 0 4 TABLE DATA public other me\n";
        let files = data_files_by_name(listing, names.iter());
        assert_eq!(files, [(names[0].clone(), 12), (names[1].clone(), 11), (names[2].clone(), 13)].into());
    }

    #[test]
    fn names_that_read_the_same_are_told_apart() {
        let names = [(1, "a", "b c"), (2, "a b", "c"), (3, "TABLE DATA ", "x\ny")]
            .map(|(oid, schema, name)| (oid, TableName { schema: schema.into(), name: name.into() }));
        let listing = ";\n; Archive\n13; 0 2 TABLE DATA a b c me\n12; 0 1 TABLE DATA a b c me\n14; 1259 3 TABLE TABLE DATA  x y me\n\
            15; 0 3 TABLE DATA TABLE DATA  x y the owner\n16; 0 9 TABLE DATA public other me\n";
        let files = data_files(listing, &names.clone().into());
        let expected = [(12, &names[0]), (13, &names[1]), (15, &names[2])];
        assert_eq!(files, expected.map(|(file, (_, name))| (file, name.clone())).into());
    }
}
