//! Reads a dump's own bytes once, while pg_dump writes them: rows, fingerprints and large objects are taken from
//! them, the files are packed, and what is kept is put on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::codec::Codec;
use super::failure::BackupError;
use super::files::{self, CHUNK};
use super::growing::Growing;
use super::large_objects::Object;
use super::manifest::{DUMP_FOLDER, FileEntry, LargeObjects};
use super::pool::{Pending, Pool};
use super::rows_of_dump::Rows;
use crate::error::{Error, Result};
use crate::postgres::contents::Fingerprint;

/// How often files are looked at that do not grow, and folders for new ones.
const LOOK: Duration = Duration::from_millis(10);

/// pg_dump's own list of what there is, which stays as it is.
const CONTENTS: &str = "toc.dat";

/// A table's rows as the dump holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// Rows and fingerprint.
    pub(super) fingerprint: Fingerprint,
    /// Bytes, as COPY wrote them.
    pub(super) bytes: u64,
}

impl Held {
    /// Adds the rows of another file of the same table: partitions may be compared as one.
    pub(super) fn join(&mut self, other: Self) {
        self.fingerprint.join(other.fingerprint);
        self.bytes += other.bytes;
    }
}

/// What a dump's data files hold, and the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Data {
    /// Tables, by the number of their file.
    pub(super) tables: BTreeMap<u64, Held>,
    /// Large objects.
    pub(super) large_objects: LargeObjects,
    /// All files of the dump, which are on the disk.
    pub(super) files: Vec<FileEntry>,
}

/// How far it is once pg_dump has ended: bytes that were read of all there are.
pub(super) type Told<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// Packs what pg_dump leaves plain, as its manual allows: `N.dat` becomes `N.dat.gz` or `N.dat.zst`, and
/// pg_restore reads any of them. The plain files go when all of it is packed: what is restored to prove the backup is
/// what is kept.
///
/// A table's file is followed while it grows. Its end is COPY's own mark, which no row can hold; that nothing came
/// behind it is looked at once pg_dump has ended.
pub(super) struct Packing<'a> {
    /// The backup's folder. The dump's own need not be there yet.
    pub(super) folder: &'a Path,
    pub(super) codec: Codec,
    /// How many threads pack, and how many files grow at once at the most.
    pub(super) jobs: usize,
    /// pg_dump has ended well: what is there is whole.
    pub(super) dumped: &'a CancellationToken,
    pub(super) cancel: &'a CancellationToken,
    pub(super) told: Told<'a>,
}

/// What is known of a file's bytes.
pub(super) enum Looks {
    Rows(u64, Rows),
    Object(Box<Object>),
    Nothing,
}

impl Looks {
    /// By the file's name without its packing. `whole`: only what is there whole can be looked at.
    fn of(plain: &str, whole: bool) -> Option<Self> {
        if let Some(id) = number(plain, "") {
            return Some(Self::Rows(id, Rows::default()));
        }
        if !whole {
            return None;
        }
        let oid = number(plain, "blob_").and_then(|oid| u32::try_from(oid).ok());
        Some(oid.map_or(Self::Nothing, |oid| Self::Object(Box::new(Object::new(oid)))))
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Rows(_, rows) => rows.feed(bytes),
            Self::Object(object) => object.feed(bytes),
            Self::Nothing => {}
        }
    }

    /// Whether what has come ends as no part of a file does.
    pub(super) fn at_end(&self) -> bool {
        matches!(self, Self::Rows(_, rows) if rows.at_end())
    }

    fn add_to(self, data: &mut Data) {
        match self {
            Self::Rows(id, rows) => drop(data.tables.insert(id, rows.end())),
            Self::Object(object) => object.add_to(&mut data.large_objects),
            Self::Nothing => {}
        }
    }
}

impl Packing<'_> {
    /// Reads and packs all of them.
    ///
    /// # Errors
    /// The file system's, the decompressor's, or [`Error::Interrupted`].
    pub(super) fn run(&self) -> Result<Data> {
        let dump = self.folder.join(DUMP_FOLDER);
        thread::scope(|scope| {
            let pool = Pool::start(scope, self.jobs);
            let mut work = Work { packing: self, pool, dump: &dump, known: BTreeSet::new(), kept: BTreeMap::new() };
            let (mut data, plain) = work.follow()?;
            for (path, read) in plain {
                let there = path.metadata().map_err(Error::io("read", &path))?.len();
                if there != read {
                    let reason = format!("{} has {there} bytes, and {read} were read", path.display());
                    return Err(BackupError::Unreadable { reason }.into());
                }
                std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
            data.files = work.keep_all()?;
            Ok(data)
        })
    }
}

struct Work<'scope, 'a> {
    packing: &'a Packing<'a>,
    pool: Pool<'scope>,
    dump: &'a Path,
    /// Files that are worked on or done.
    known: BTreeSet<PathBuf>,
    kept: BTreeMap<PathBuf, Pending<Result<FileEntry>>>,
}

impl<'scope, 'a: 'scope> Work<'scope, 'a> {
    /// Gives what the files hold, and which of them were plain, with the bytes that were read of them.
    fn follow(&mut self) -> Result<(Data, Vec<(PathBuf, u64)>)> {
        let packing = self.packing;
        let (mut data, mut plain) = (Data::default(), Vec::new());
        let mut open: Vec<Growing> = Vec::new();
        let (mut total, mut done) = (None, 0);
        loop {
            if packing.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            // Asked before the files are looked at: those that are there then are whole.
            let whole = packing.dumped.is_cancelled();
            let waiting = self.waiting(whole)?;
            if whole && total.is_none() {
                total = Some(done + self.size_of(&waiting) + open.iter().map(Growing::left).sum::<u64>());
            }
            let mut moved = false;
            for path in waiting {
                // pg_dump writes no more than that many at once, so all but those can be finished.
                if open.len() > packing.jobs {
                    break;
                }
                let Some(name) = path.to_str() else { continue };
                let packed = Codec::of(name);
                if packed.is_some() && !whole {
                    continue;
                }
                let Some(mut looks) = Looks::of(packed.map_or(name, |(_, plain)| plain), whole) else { continue };
                self.known.insert(path.clone());
                let path = self.dump.join(&path);
                if let Some((codec, _)) = packed {
                    done += self.unpack(&path, codec, &mut looks)?;
                    looks.add_to(&mut data);
                    moved = true;
                } else {
                    open.push(Growing::open(path, packing.codec, looks)?);
                }
            }
            // All of them together, so that memory does not depend on how many grow at once.
            let most = (packing.jobs / open.len().max(1)).max(1);
            let mut growing = Vec::new();
            for mut file in open {
                let read = file.follow(&self.pool, most, whole)?;
                done += read;
                moved |= read > 0;
                if !file.has_ended() {
                    growing.push(file);
                    continue;
                }
                let ended = file.finish(&self.pool)?;
                plain.push((ended.plain, ended.read));
                self.keep(&ended.packed);
                ended.looks.add_to(&mut data);
                moved = true;
            }
            open = growing;
            if let Some(total) = total {
                (packing.told)(done, total);
            }
            if !moved && whole {
                return Ok((data, plain));
            }
            if !moved {
                thread::sleep(LOOK);
            }
        }
    }

    /// Data files that nobody has looked at yet.
    fn waiting(&self, whole: bool) -> Result<Vec<PathBuf>> {
        // pg_dump has not made it yet, or cannot.
        if !whole && !self.dump.is_dir() {
            return Ok(Vec::new());
        }
        let mut waiting = files::list(self.dump)?;
        waiting.retain(|path| {
            let name = path.to_string_lossy();
            let plain = Codec::of(&name).map_or(&*name, |(_, plain)| plain);
            // What we have packed lies beside it.
            plain.ends_with(".dat")
                && plain != CONTENTS
                && !self.known.contains(path)
                && !self.known.contains(Path::new(plain))
        });
        Ok(waiting)
    }

    fn size_of(&self, files: &[PathBuf]) -> u64 {
        files.iter().map(|path| self.dump.join(path).metadata().map_or(0, |metadata| metadata.len())).sum()
    }

    /// Shows the bytes of a file that pg_dump itself has packed. Gives its size.
    fn unpack(&self, path: &Path, codec: Codec, looks: &mut Looks) -> Result<u64> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let size = file.metadata().map_err(Error::io("read", path))?.len();
        let mut reader = codec.reader(file).map_err(Error::io("read", path))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            if self.packing.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            match reader.read(&mut buffer).map_err(Error::io("read", path))? {
                0 => return Ok(size),
                read => looks.feed(&buffer[..read]),
            }
        }
    }

    /// Puts a file on the disk and takes its digest, while others are packed.
    fn keep(&mut self, path: &Path) {
        let folder = self.packing.folder;
        let relative = path.strip_prefix(folder).unwrap_or(path).to_owned();
        let of_it = relative.clone();
        self.kept.insert(relative, self.pool.give(move || files::keep(folder, &of_it)));
    }

    /// The rest of them as well.
    fn keep_all(mut self) -> Result<Vec<FileEntry>> {
        for path in files::list(self.dump)? {
            if !self.kept.contains_key(&Path::new(DUMP_FOLDER).join(&path)) {
                self.keep(&self.dump.join(path));
            }
        }
        self.kept.into_values().map(|kept| kept.wait().unwrap_or_else(|| Err(panicked()))).collect()
    }
}

/// What a thread of the pool owes us.
pub(super) fn panicked() -> Error {
    BackupError::Unreadable { reason: "a thread that packs has panicked".into() }.into()
}

/// The number in a file's name: `3412.dat`, `blob_16400.dat`.
fn number(name: &str, before: &str) -> Option<u64> {
    name.strip_prefix(before)?.strip_suffix(".dat")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pack(folder: &Path, codec: Codec, dumped: &CancellationToken) -> Data {
        let cancel = CancellationToken::new();
        Packing { folder, codec, jobs: 2, dumped, cancel: &cancel, told: &|_, _| {} }.run().expect("it is packed")
    }

    fn ended() -> CancellationToken {
        let dumped = CancellationToken::new();
        dumped.cancel();
        dumped
    }

    #[test]
    fn what_was_packed_reads_as_what_was_plain() {
        for (codec, suffix) in [(Codec::Gzip, "gz"), (Codec::Zstd, "zst")] {
            let folder = tempfile::tempdir().expect("a folder");
            let dump = folder.path().join(DUMP_FOLDER);
            std::fs::create_dir(&dump).expect("a folder");
            // Longer than some members, and not a whole number of them.
            let rows: String = (0..300_000).map(|row| format!("{row}\trow {row}\n")).collect();
            let write = |name: &str, text: &str| std::fs::write(dump.join(name), text).expect("it is written");
            write("1.dat", &format!("{rows}\\.\n\n\n"));
            write("2.dat", "\\.\n\n\n");
            write("4.dat", "");
            write("blob_7.dat", "large object");
            write("blobs.toc", "7 blob_7.dat\n");
            write("toc.dat", "PGDMP");
            let packed = pack(folder.path(), codec, &ended());
            let table = packed.tables[&1];
            assert_eq!((table.fingerprint.rows, table.bytes), (300_000, rows.len() as u64));
            assert_eq!((packed.large_objects.count, packed.large_objects.bytes), (1, 12));
            let names: Vec<String> =
                files::list(&dump).expect("it is listed").iter().map(|path| path.display().to_string()).collect();
            let ends = |name: &str| format!("{name}.{suffix}");
            assert_eq!(
                names,
                [ends("1.dat"), ends("2.dat"), ends("4.dat"), ends("blob_7.dat"), "blobs.toc".into(), "toc.dat".into()]
            );
            let kept: Vec<String> = names.iter().map(|name| format!("{DUMP_FOLDER}/{name}")).collect();
            assert_eq!(packed.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>(), kept);
            assert_eq!(pack(folder.path(), codec, &ended()), packed, "{codec:?}");
        }
    }

    /// Written bit by bit, as pg_dump does: also where a row ends as a file does, but for a backslash.
    #[test]
    fn a_file_is_followed_while_it_grows() {
        let text = "one\tx\\\\.\n\n\nfour\n\\.\n\n\n";
        for step in 1..text.len() {
            let folder = tempfile::tempdir().expect("a folder");
            let dump = folder.path().join(DUMP_FOLDER);
            let dumped = CancellationToken::new();
            let data = thread::scope(|scope| {
                let packing = scope.spawn(|| pack(folder.path(), Codec::Gzip, &dumped));
                std::fs::create_dir(&dump).expect("a folder");
                let mut file = File::create(dump.join("1.dat")).expect("it is created");
                for piece in text.as_bytes().chunks(step) {
                    file.write_all(piece).expect("it is written");
                    thread::yield_now();
                }
                std::fs::write(dump.join("2.dat"), "\\.\n\n\n").expect("it is written");
                dumped.cancel();
                packing.join().expect("it ends")
            });
            assert_eq!(data.tables[&1].fingerprint.rows, 4, "in steps of {step}");
            assert_eq!((data.tables.len(), data.files.len()), (2, 2));
            assert!(!dump.join("1.dat").exists());
        }
    }

    #[test]
    fn nothing_may_follow_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let dump = folder.path().join(DUMP_FOLDER);
        std::fs::create_dir(&dump).expect("a folder");
        std::fs::write(dump.join("1.dat"), "a\n\\.\n\n\n").expect("it is written");
        let (dumped, cancel) = (CancellationToken::new(), CancellationToken::new());
        let told = |_, _| {};
        let packing = Packing {
            folder: folder.path(),
            codec: Codec::Gzip,
            jobs: 1,
            dumped: &dumped,
            cancel: &cancel,
            told: &told,
        };
        let outcome = thread::scope(|scope| {
            let packing = scope.spawn(|| packing.run());
            while !dump.join("1.dat.gz").metadata().is_ok_and(|packed| packed.len() > 0) {
                thread::yield_now();
            }
            let mut file = File::options().append(true).open(dump.join("1.dat")).expect("it is there");
            file.write_all(b"b\n").expect("it is written");
            dumped.cancel();
            packing.join().expect("it ends")
        });
        assert!(outcome.is_err_and(|error| error.to_string().contains("were read")));
        assert!(dump.join("1.dat").exists());
    }
}
