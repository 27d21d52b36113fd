//! Reads one file of a backup: its stored bytes against its digest, decrypted where there is a key.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path as FilePath, PathBuf};

use bytes::{Buf, Bytes};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::RepositoryError;
use super::identities::Identities;
use super::object::again;
use super::place::Repository;
use crate::backup::manifest::FileEntry;
use crate::postgres::schema::hex;

/// How much is asked for at once: one request may take 30 s, so a line of 2 Mbit/s is enough.
const RANGE: u64 = 6 * 1024 * 1024;

/// Ranges that wait for whoever takes them.
const AHEAD: usize = 2;

/// How much is copied at once.
const CHUNK: usize = 256 * 1024;

/// What is done with a file.
#[derive(Clone)]
pub(super) struct Wanted<'a> {
    /// Whose it is.
    pub id: &'a str,
    /// Which one.
    pub file: &'a FileEntry,
    /// The keys, if there are any.
    pub identities: Option<&'a Identities>,
    /// Where it goes, plain; nowhere when it is only looked at.
    pub into: Option<PathBuf>,
    /// The user's wish to stop.
    pub cancel: &'a CancellationToken,
}

/// Reads the file and compares. What is wrong with it comes as a phrase, nothing when it is as it was.
///
/// # Errors
/// When it could not be read: then nothing is known of it.
pub(super) async fn file(
    repository: &Repository,
    wanted: Wanted<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Option<String>, RepositoryError> {
    let (name, bytes, _) = wanted.file.at_rest();
    let path = repository.path(&format!("{}/{name}", wanted.id))?;
    let Some(meta) = repository.look(&path).await? else { return Ok(Some(format!("{name} is missing"))) };
    if meta.size != bytes {
        return Ok(Some(format!("{name} has {} bytes instead of {bytes}", meta.size)));
    }
    let (give, take) = mpsc::channel(AHEAD);
    let (entry, identities, into) = (wanted.file.clone(), wanted.identities.cloned(), wanted.into.clone());
    let place = repository.place_of(wanted.id);
    let taking = tokio::task::spawn_blocking(move || {
        consume(Stream { pieces: take, rest: Bytes::new() }, &entry, identities.as_ref(), into.as_deref(), &place)
    });
    let feeding = ranges(repository, &path, bytes, give, &mut progress);
    let fed = wanted.cancel.run_until_cancelled(feeding).await.unwrap_or(Err(RepositoryError::Interrupted));
    let taken = taking
        .await
        .map_err(|error| RepositoryError::Local { doing: format!("read {name}"), reason: error.to_string() })?;
    match fed? {
        // It went away while it was read.
        false => Ok(Some(format!("{name} is missing"))),
        true => taken,
    }
}

/// Gives the object piece by piece, each of which is tried again; false when there is no such object.
async fn ranges(
    repository: &Repository,
    path: &Path,
    bytes: u64,
    give: mpsc::Sender<Bytes>,
    progress: &mut impl FnMut(u64),
) -> Result<bool, RepositoryError> {
    let mut at = 0;
    while at < bytes {
        let range = at..(at + RANGE).min(bytes);
        let length = range.end - range.start;
        let piece = again(repository.patience(), || async {
            let piece = repository.store.objects.get_range(path, range.clone()).await?;
            if piece.len() as u64 == length {
                return Ok(piece);
            }
            Err(object_store::Error::Generic { store: "store", source: "the answer is shorter than it says".into() })
        });
        let piece = match piece.await {
            Ok(piece) => piece,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(repository.failed(format!("read {path}"))(error)),
        };
        at += length;
        // Whoever takes has ended, and says why.
        if give.send(piece).await.is_err() {
            break;
        }
        progress(length);
    }
    Ok(true)
}

fn consume(
    stream: Stream,
    entry: &FileEntry,
    identities: Option<&Identities>,
    into: Option<&FilePath>,
    place: &str,
) -> Result<Option<String>, RepositoryError> {
    let (name, _, sha256) = entry.at_rest();
    let mut stored = Digesting::new(stream);
    let mut out: Box<dyn Write> = match into {
        Some(into) => Box::new(File::create(into).map_err(RepositoryError::io("write", into))?),
        None => Box::new(io::sink()),
    };
    let mut trouble = Ok(None);
    match (&entry.stored, identities) {
        (None, _) => copy(&mut stored, &mut out).map_err(|failed| failed.unable(into))?,
        (Some(_), None) if into.is_some() => return Err(RepositoryError::NoIdentity { place: place.into() }),
        // Its bytes can be compared without a key.
        (Some(_), None) => {}
        (Some(_), Some(identities)) => trouble = decrypt(&mut stored, &mut out, entry, identities, into, place),
    }
    // What the decryption has left over, or all that it did not understand: the digest is of everything.
    copy(&mut stored, &mut io::sink()).map_err(|failed| failed.unable(into))?;
    if stored.digest() != sha256 {
        return Ok(Some(format!("{name} has another digest than the manifest says")));
    }
    trouble
}

/// Decrypts, and compares what comes out with what went in.
fn decrypt(
    stored: &mut Digesting<Stream>,
    out: &mut dyn Write,
    entry: &FileEntry,
    identities: &Identities,
    into: Option<&FilePath>,
    place: &str,
) -> Result<Option<String>, RepositoryError> {
    let name = entry.at_rest().0;
    let undone = |reason: String| Ok(Some(format!("{name} cannot be decrypted: {reason}")));
    let plain = age::Decryptor::new(stored).and_then(|file| file.decrypt(identities.all()));
    let plain = match plain {
        Ok(plain) => plain,
        Err(age::DecryptError::NoMatchingKeys) => {
            return Err(RepositoryError::WrongIdentity { place: place.into(), file: identities.file.clone() });
        }
        Err(error) => return undone(error.to_string()),
    };
    let mut plain = Digesting::new(plain);
    match copy(&mut plain, out) {
        Ok(()) => {}
        Err(CopyError::Read(error)) => return undone(error.to_string()),
        Err(failed @ CopyError::Write(_)) => return Err(failed.unable(into)),
    }
    let fits = plain.bytes == entry.bytes && plain.digest() == entry.sha256;
    Ok((!fits).then(|| format!("{name} does not hold the {} that the manifest says", entry.path)))
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

impl CopyError {
    fn unable(self, into: Option<&FilePath>) -> RepositoryError {
        let path = into.unwrap_or(FilePath::new("a backup"));
        match self {
            Self::Read(error) => RepositoryError::io("read", path)(error),
            Self::Write(error) => RepositoryError::io("write", path)(error),
        }
    }
}

fn copy(from: &mut impl Read, to: &mut dyn Write) -> Result<(), CopyError> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).map_err(CopyError::Read)? {
            0 => return to.flush().map_err(CopyError::Write),
            read => to.write_all(&buffer[..read]).map_err(CopyError::Write)?,
        }
    }
}

/// The pieces as they arrive. When no more come, whoever gives them says whether that was all.
struct Stream {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let read = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

struct Digesting<R> {
    inner: R,
    bytes: u64,
    digest: Sha256,
}

impl<R> Digesting<R> {
    fn new(inner: R) -> Self {
        Self { inner, bytes: 0, digest: Sha256::new() }
    }

    fn digest(&self) -> String {
        hex(&self.digest.clone().finalize())
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}
