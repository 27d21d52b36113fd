//! Sends one file: encrypted where there are recipients, in parts where it is large, in constant memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path as FilePath;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{PutMode, PutOptions, PutPayload};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::failure::RepositoryError;
use super::object::again;
use super::place::Repository;
use super::recipients::Recipients;
use super::sent::Notes;
use super::stored::{AGE, SUFFIX, Stored};
use crate::backup::manifest::FileEntry;
use crate::postgres::schema::hex;

/// The least that a part has; S3 asks for 5 MiB
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART: u64 = 6 * 1024 * 1024;

/// S3 takes 10,000 parts of an object, as that page says; what encryption adds must fit as well.
const MOST_PARTS: u64 = 9_900;

/// Parts that are under way at once. With one that waits and one that is made, memory stays below 40 MB.
const AT_ONCE: usize = 3;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// How long the end of a failed upload is waited for: its parts cost money until they are gone.
const ABORT_PATIENCE: Duration = Duration::from_secs(10);

/// One file that is there now.
pub(super) struct Done {
    /// Its entry, with how it is stored.
    pub entry: FileEntry,
    /// What the service calls these bytes.
    pub e_tag: Option<String>,
}

/// Sends a file of a local backup to its place.
///
/// # Errors
/// [`RepositoryError::Damaged`] when the local file is not what its entry says; the place's.
pub(super) async fn file(
    repository: &Repository,
    id: &str,
    local: &FilePath,
    entry: &FileEntry,
    recipients: &Recipients,
    notes: &Notes,
) -> Result<Done, RepositoryError> {
    let name = if recipients.is_empty() { entry.path.clone() } else { format!("{}{SUFFIX}", entry.path) };
    let path = repository.path(&format!("{id}/{name}"))?;
    let reading = Reading { local: local.to_owned(), entry: entry.clone(), recipients: recipients.clone(), name };
    let Some(parts) = repository.store.parts.clone() else { return into_folder(repository, &path, reading).await };
    let (give, mut take) = mpsc::channel(1);
    let part = usize::try_from(PART.max(entry.bytes.div_ceil(MOST_PARTS))).unwrap_or(usize::MAX);
    let reader = tokio::task::spawn_blocking(move || {
        // With the writer goes its end of the channel: that was the last part.
        reading.write_to(Parts { size: part, held: Vec::new(), give }).map(|(entry, _)| entry)
    });
    let sending = async {
        let first = take.recv().await.unwrap_or_default();
        match take.recv().await {
            None => single(repository, &path, first).await,
            Some(second) => multipart(repository, &*parts, &path, [first, second], &mut take, notes).await,
        }
    };
    let sent = sending.await;
    // The reader stops when nobody takes its parts.
    drop(take);
    let read = reader.await.map_err(|error| local_trouble(local, io::Error::other(error)))?;
    let e_tag = sent?;
    Ok(Done { entry: read?, e_tag })
}

fn local_trouble(local: &FilePath, error: io::Error) -> RepositoryError {
    RepositoryError::io("read", local)(error)
}

async fn single(repository: &Repository, path: &Path, bytes: Bytes) -> Result<Option<String>, RepositoryError> {
    let put = again(repository.patience(), || {
        let options = PutOptions { mode: PutMode::Overwrite, ..PutOptions::default() };
        repository.store.objects.put_opts(path, PutPayload::from_bytes(bytes.clone()), options)
    });
    put.await.map(|put| put.e_tag).map_err(repository.failed(format!("send {path}")))
}

async fn multipart(
    repository: &Repository,
    parts: &dyn MultipartStore,
    path: &Path,
    first: [Bytes; 2],
    rest: &mut mpsc::Receiver<Bytes>,
    notes: &Notes,
) -> Result<Option<String>, RepositoryError> {
    let failed = || repository.failed(format!("send {path}"));
    let upload = parts.create_multipart(path).await.map_err(failed())?;
    // Whoever finds this note and no more of it aborts the upload: no list shows its parts.
    notes.begun(path.as_ref(), &upload)?;
    let sent = async {
        let mut under_way = FuturesUnordered::new();
        let mut done: Vec<(usize, PartId)> = Vec::new();
        let mut waiting = first.into_iter();
        let mut number = 0;
        loop {
            let next = match waiting.next() {
                Some(bytes) => Some(bytes),
                None => rest.recv().await,
            };
            if under_way.len() >= AT_ONCE || next.is_none() {
                match under_way.next().await {
                    Some(part) => done.push(part?),
                    None if next.is_none() => break,
                    None => {}
                }
            }
            if let Some(bytes) = next {
                let (index, upload) = (number, &upload);
                number += 1;
                under_way.push(async move {
                    let part = again(repository.patience(), || {
                        parts.put_part(path, upload, index, PutPayload::from_bytes(bytes.clone()))
                    });
                    part.await.map(|part| (index, part))
                });
            }
        }
        done.sort_by_key(|(index, _)| *index);
        let ids = done.into_iter().map(|(_, part)| part).collect();
        parts.complete_multipart(path, &upload, ids).await
    };
    let put = sent.await.map_err(failed())?;
    notes.ended(path.as_ref(), &upload)?;
    Ok(put.e_tag)
}

/// Ends an upload that is not going to be completed; whether that is certain.
pub(super) async fn abort(repository: &Repository, path: &Path, upload: &String) -> bool {
    let Some(parts) = &repository.store.parts else { return true };
    let aborted = tokio::time::timeout(ABORT_PATIENCE, parts.abort_multipart(path, upload)).await;
    // One that the service does not know has no parts.
    matches!(aborted, Ok(Ok(()) | Err(object_store::Error::NotFound { .. })))
}

async fn into_folder(repository: &Repository, path: &Path, reading: Reading) -> Result<Done, RepositoryError> {
    // The place's own paths begin at the root of the file system.
    let file = FilePath::new("/").join(path.as_ref());
    let failed = repository.failed(format!("write {}", file.display()));
    let written = tokio::task::spawn_blocking(move || {
        let folder = file.parent().unwrap_or(FilePath::new("/"));
        std::fs::create_dir_all(folder).map_err(RepositoryError::io("create", folder))?;
        let trouble = |error| RepositoryError::io("write", &file)(error);
        let out = tempfile::NamedTempFile::new_in(folder).map_err(trouble)?;
        let (entry, out) = reading.write_to(out)?;
        out.as_file().sync_all().map_err(trouble)?;
        out.persist(&file).map_err(|error| trouble(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(trouble)?;
        Ok(Done { entry, e_tag: None })
    });
    match written.await {
        Ok(done) => done,
        Err(error) => Err(failed(object_store::Error::from(error))),
    }
}

/// A file on its way out.
struct Reading {
    local: std::path::PathBuf,
    entry: FileEntry,
    recipients: Recipients,
    name: String,
}

impl Reading {
    /// Writes it, and compares it with its entry on the way: what is sent is what was proven.
    fn write_to<W: Write>(self, out: W) -> Result<(FileEntry, W), RepositoryError> {
        let mut stored = Digesting { inner: out, bytes: 0, digest: Sha256::new() };
        let trouble = |error: io::Error| RepositoryError::io("send", &self.local)(error);
        let mut file = File::open(&self.local).map_err(RepositoryError::io("read", &self.local))?;
        let (bytes, sha256) = if self.recipients.is_empty() {
            copy(&mut file, &mut stored).map_err(trouble)?
        } else {
            let encryptor = self.recipients.encryptor().map_err(|error| trouble(io::Error::other(error)))?;
            let mut writer = encryptor.wrap_output(&mut stored).map_err(trouble)?;
            let plain = copy(&mut file, &mut writer).map_err(trouble)?;
            writer.finish().map_err(trouble)?;
            plain
        };
        stored.flush().map_err(trouble)?;
        if (bytes, &sha256) != (self.entry.bytes, &self.entry.sha256) {
            let damage = vec![format!("{} is no longer what was proven", self.entry.path)];
            return Err(RepositoryError::Damaged { place: self.local.display().to_string(), damage });
        }
        let sealed =
            Stored { path: self.name, bytes: stored.bytes, sha256: hex(&stored.digest.finalize()), cipher: AGE.into() };
        let stored_as = (!self.recipients.is_empty()).then_some(sealed);
        Ok((FileEntry { stored: stored_as, ..self.entry }, stored.inner))
    }
}

/// Copies, and gives size and digest of what was read.
fn copy(from: &mut File, to: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut bytes, mut digest) = (0, Sha256::new());
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok((bytes, hex(&digest.finalize()))),
            read => {
                digest.update(&buffer[..read]);
                bytes += read as u64;
                to.write_all(&buffer[..read])?;
            }
        }
    }
}

struct Digesting<W> {
    inner: W,
    bytes: u64,
    digest: Sha256,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Cuts what is written into parts of one size, and gives them away; the last one, which may be all, at
/// the end.
struct Parts {
    size: usize,
    held: Vec<u8>,
    give: mpsc::Sender<Bytes>,
}

impl Parts {
    fn give(&mut self) -> io::Result<()> {
        let part = std::mem::take(&mut self.held);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload has ended");
        self.give.blocking_send(part.into()).map_err(gone)
    }
}

impl Write for Parts {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.held.capacity() == 0 {
            self.held.reserve_exact(self.size);
        }
        let taken = buffer.len().min(self.size - self.held.len());
        self.held.extend_from_slice(&buffer[..taken]);
        if self.held.len() == self.size {
            self.give()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() { Ok(()) } else { self.give() }
    }
}
