//! The bytes of a dump: digests of its files, and rows and fingerprints of its tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::failure::BackupError;
use super::manifest::{FileEntry, Manifest};
use crate::error::{Error, Result};
use crate::postgres::contents::{Fingerprint, Lines, TableName};
use crate::postgres::schema::hex;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// What COPY writes after the last row.
const END_OF_DATA: &[u8] = b"\\.\n";

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

/// The files of a dump that pg_dump left plain: all but its table of contents, and the lists of large
/// objects, which are read as they are.
fn plain(dump: &Path) -> Result<Vec<PathBuf>> {
    let is_plain = |name: &str| name.ends_with(".dat") && name != "toc.dat";
    let files = list(dump)?;
    Ok(files.into_iter().filter(|path| path.to_str().is_some_and(is_plain)).map(|path| dump.join(path)).collect())
}

fn packed(plain: &Path) -> PathBuf {
    let mut path = plain.as_os_str().to_owned();
    path.push(".gz");
    path.into()
}

/// Packs what pg_dump left plain, as its manual allows: `N.dat` becomes `N.dat.gz`, and pg_restore
/// reads either. The plain files stay, for whoever reads them now. Each packed file is read back:
/// gzip keeps a checksum of what went in.
///
/// # Errors
/// The file system's, or [`Error::Interrupted`].
pub fn pack(dump: &Path, cancel: &CancellationToken) -> Result<()> {
    for path in plain(dump)? {
        let target = packed(&path);
        let mut reader = File::open(&path).map_err(Error::io("read", &path))?;
        let file = File::create(&target).map_err(Error::io("write", &target))?;
        let mut writer = GzEncoder::new(BufWriter::with_capacity(CHUNK, file), Compression::fast());
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = reader.read(&mut buffer).map_err(Error::io("read", &path))?;
            if read == 0 {
                break;
            }
            if cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            writer.write_all(&buffer[..read]).map_err(Error::io("write", &target))?;
        }
        let finish = || writer.finish()?.into_inner()?.sync_all();
        finish().map_err(Error::io("write", &target))?;
        // Tables are read back for their rows in any case.
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("blob")) {
            let file = File::open(&target).map_err(Error::io("read", &target))?;
            std::io::copy(&mut MultiGzDecoder::new(BufReader::with_capacity(CHUNK, file)), &mut std::io::sink())
                .map_err(Error::io("read", &target))?;
        }
    }
    Ok(())
}

/// Removes plain files that have been packed.
///
/// # Errors
/// The file system's.
pub fn remove_packed(dump: &Path) -> Result<()> {
    for path in plain(dump)? {
        if packed(&path).is_file() {
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Size and digest of one file, which is on the disk when this returns: a backup that counts must
/// outlive a power cut.
///
/// # Errors
/// The file system's.
pub fn keep(folder: &Path, relative: &Path) -> Result<FileEntry> {
    let path = folder.join(relative);
    File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io("write", &path))?;
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
    Ok(FileEntry { path: relative.display().to_string(), bytes, sha256: hex(&digest.finalize()) })
}

/// Compares a backup's files with its manifest, byte for byte.
///
/// # Errors
/// [`BackupError::Damaged`] with every file that is not as it was.
pub fn check(folder: &Path, manifest: &Manifest) -> Result<()> {
    let mut damage = Vec::new();
    let there = list(folder)?;
    for expected in &manifest.files {
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
        if name != super::manifest::FILE_NAME && !manifest.files.iter().any(|file| file.path == name) {
            damage.push(format!("{name} does not belong to it"));
        }
    }
    if damage.is_empty() { Ok(()) } else { Err(BackupError::Damaged { folder: folder.into(), damage }.into()) }
}

/// Which file of the dump holds which table, from what `pg_restore --list` prints:
/// `3412; 0 16385 TABLE DATA public users owner`.
#[must_use]
pub fn data_files<'a>(listing: &str, tables: impl Iterator<Item = &'a TableName> + Clone) -> BTreeMap<TableName, u64> {
    let mut files = BTreeMap::new();
    for line in listing.lines().filter(|line| !line.starts_with(';')) {
        let Some((id, rest)) = line.split_once("; ") else { continue };
        let Some((_, name)) = rest.split_once(" TABLE DATA ") else { continue };
        // Names may hold blanks: the longest known one that fits, an owner behind it.
        let table = tables
            .clone()
            .filter(|table| {
                name.strip_prefix(&format!("{} {}", table.schema, table.name)).is_some_and(|rest| rest.starts_with(' '))
            })
            .max_by_key(|table| table.schema.len() + table.name.len());
        if let (Some(table), Ok(id)) = (table, id.parse()) {
            files.insert(table.clone(), id);
        }
    }
    files
}

/// Rows and fingerprint of one table, from the dump's own bytes: the source pays nothing for it.
///
/// # Errors
/// The file system's, or the decompressor's.
pub fn table(dump: &Path, id: u64) -> Result<Fingerprint> {
    let compressed = dump.join(format!("{id}.dat.gz"));
    let plain = dump.join(format!("{id}.dat"));
    if compressed.is_file() {
        let file = File::open(&compressed).map_err(Error::io("read", &compressed))?;
        return lines(MultiGzDecoder::new(BufReader::with_capacity(CHUNK, file)))
            .map_err(Error::io("read", &compressed));
    }
    let file = File::open(&plain).map_err(Error::io("read", &plain))?;
    lines(file).map_err(Error::io("read", &plain))
}

fn lines(mut reader: impl Read) -> std::io::Result<Fingerprint> {
    let mut lines = Lines::default();
    let mut buffer = vec![0; CHUNK];
    // The end marker may be cut by a chunk: as many bytes as it may take are held back.
    let mut held: Vec<u8> = Vec::new();
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        held.extend_from_slice(&buffer[..read]);
        let keep = held.len().min(END_OF_DATA.len() + 2);
        let give = held.len() - keep;
        lines.feed(&held[..give]);
        held.drain(..give);
    }
    // pg_dump ends a table's data with `\.` and two empty lines.
    let rest = held.strip_suffix(b"\n\n").unwrap_or(&held);
    lines.feed(rest.strip_suffix(END_OF_DATA).unwrap_or(rest));
    Ok(lines.fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_are_told_apart() {
        let names = [("public", "a"), ("public", "a b"), ("s x", "t")]
            .map(|(schema, name)| TableName { schema: schema.into(), name: name.into() });
        let listing = ";\n; Archive\n12; 0 1 TABLE DATA public a b me\n13; 0 2 TABLE DATA public a me\n14; 1 3 TABLE public a me\n15; 0 9 TABLE DATA s x t the owner\n";
        let files = data_files(listing, names.iter());
        assert_eq!(files.values().copied().collect::<Vec<_>>(), [13, 12, 15]);
    }

    #[test]
    fn the_end_marker_is_no_row() {
        for (text, rows) in [("a\tb\nc\td\n\\.\n\n\n", 2), ("\\.\n\n\n", 0), ("\n\\.\n\n\n", 1), ("x\n\n\\.\n\n\n", 2)]
        {
            assert_eq!(lines(text.as_bytes()).expect("reads").rows, rows, "{text:?}");
        }
    }
}
