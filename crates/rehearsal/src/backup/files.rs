//! The bytes of a dump: digests of its files, and rows and fingerprints of its tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::failure::BackupError;
use super::manifest::{FileEntry, Manifest};
use crate::error::{Error, Result};
use crate::postgres::contents::{Contents, Fingerprint, Lines, TableName};
use crate::postgres::schema::hex;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// How much becomes one member of a packed file: enough that its own header and empty dictionary are
/// not felt in the size.
const MEMBER: usize = 1024 * 1024;

/// gzip level 1: the next one takes longer by more than it makes smaller.
const LEVEL: Compression = Compression::fast();

/// What COPY writes after the last row.
const END_OF_DATA: &[u8] = b"\\.\n";

/// What pg_dump writes after that.
const END_OF_FILE: &[u8] = b"\n\n";

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

/// Reads the rows of the named tables, and packs what pg_dump left plain, as its manual allows: `N.dat`
/// becomes `N.dat.gz`, and pg_restore reads either. The plain file goes as soon as its packed one is
/// there: what is restored to prove the backup is what is kept.
///
/// # Errors
/// The file system's, the decompressor's, or [`Error::Interrupted`].
pub fn read_and_pack(
    dump: &Path,
    tables: &BTreeMap<TableName, u64>,
    jobs: usize,
    cancel: &CancellationToken,
) -> Result<Contents> {
    let plain = plain(dump)?;
    let mut contents = Contents::new();
    for (table, id) in tables {
        if cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let path = dump.join(format!("{id}.dat"));
        let fingerprint = if plain.contains(&path) { pack(&path, jobs, cancel)? } else { read_packed(&path)? };
        contents.insert(table.clone(), fingerprint);
    }
    for path in plain {
        if path.exists() {
            pack(&path, jobs, cancel)?;
        }
    }
    Ok(contents)
}

/// Packs one file, in members of [`MEMBER`] bytes that are compressed side by side.
fn pack(plain: &Path, jobs: usize, cancel: &CancellationToken) -> Result<Fingerprint> {
    let target = packed(plain);
    let mut reader = File::open(plain).map_err(Error::io("read", plain))?;
    let mut writer = File::create(&target).map_err(Error::io("write", &target))?;
    let mut rows = Rows::default();
    let mut chunks = vec![Vec::with_capacity(MEMBER); jobs.max(1)];
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        for chunk in &mut chunks {
            chunk.clear();
            (&mut reader).take(MEMBER as u64).read_to_end(chunk).map_err(Error::io("read", plain))?;
        }
        let filled: Vec<_> = chunks.iter().filter(|chunk| !chunk.is_empty()).collect();
        let at_end = filled.len() < chunks.len();
        let members = thread::scope(|scope| {
            let members: Vec<_> = filled.iter().map(|chunk| scope.spawn(|| member(chunk))).collect();
            filled.iter().for_each(|chunk| rows.feed(chunk));
            let ended = |member: thread::ScopedJoinHandle<'_, _>| member.join().unwrap_or_else(|_| Err(panicked()));
            members.into_iter().map(ended).collect::<std::io::Result<Vec<_>>>()
        });
        for member in members.map_err(Error::io("pack", plain))? {
            writer.write_all(&member).map_err(Error::io("write", &target))?;
        }
        if at_end {
            break;
        }
    }
    // An empty file is not gzip's idea of nothing.
    if writer.metadata().map_err(Error::io("look at", &target))?.len() == 0 {
        member(&[]).and_then(|member| writer.write_all(&member)).map_err(Error::io("write", &target))?;
    }
    std::fs::remove_file(plain).map_err(Error::io("remove", plain))?;
    Ok(rows.end())
}

fn member(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), LEVEL);
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn panicked() -> std::io::Error {
    std::io::Error::other("a thread that packs has panicked")
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

/// Rows and fingerprint of a table whose file pg_dump itself has packed.
fn read_packed(plain: &Path) -> Result<Fingerprint> {
    let path = packed(plain);
    let file = File::open(&path).map_err(Error::io("read", &path))?;
    let mut reader = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, file));
    let mut rows = Rows::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer).map_err(Error::io("read", &path))? {
            0 => return Ok(rows.end()),
            read => rows.feed(&buffer[..read]),
        }
    }
}

/// The rows of a table's file: COPY's lines without what pg_dump puts behind them.
#[derive(Default)]
struct Rows {
    lines: Lines,
    /// The end marker may be cut by a chunk: as many bytes as it may take are held back.
    held: Vec<u8>,
}

impl Rows {
    fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let give = self.held.len().saturating_sub(END_OF_DATA.len() + END_OF_FILE.len());
        self.lines.feed(&self.held[..give]);
        self.held.drain(..give);
    }

    fn end(mut self) -> Fingerprint {
        let rest = self.held.strip_suffix(END_OF_FILE).unwrap_or(&self.held);
        self.lines.feed(rest.strip_suffix(END_OF_DATA).unwrap_or(rest));
        self.lines.fingerprint
    }
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
            for cut in 0..text.len() {
                let mut read = Rows::default();
                read.feed(&text.as_bytes()[..cut]);
                read.feed(&text.as_bytes()[cut..]);
                assert_eq!(read.end().rows, rows, "{text:?} cut at {cut}");
            }
        }
    }
}
