//! Reads a backup again, all of it or a share, and compares every byte with what its manifest says.

use std::str::FromStr;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::failure::RepositoryError;
use super::identities::Identities;
use super::place::Repository;
use super::receive::{self, Wanted};
use crate::backup::manifest::{FILE_NAME, FileEntry, Manifest};
use crate::error::Result;
use crate::event::{Emitter, EventKind, Progress};

/// `2/7`: the second of seven shares, which have all files between them and no file twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    number: u64,
    of: u64,
}

impl Share {
    /// Whether a file belongs to it: by the digest of its path, so that it is the same in every run.
    fn has(self, file: &FileEntry) -> bool {
        let digest = Sha256::digest(file.path.as_bytes());
        let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        first % self.of == self.number - 1
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if number >= 1 && number <= of => Ok(Self { number, of }),
            _ => Err("a share is a number of a whole: 1/7 is the first of seven".into()),
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looked {
    /// Files whose bytes were read.
    pub files: usize,
    /// Their size, as they are stored.
    pub bytes: u64,
    /// Files that are encrypted and were not decrypted, for want of a key.
    pub sealed: usize,
}

/// Compares a backup with its manifest: every file is there with its size, nothing else is, and those of the
/// share have their digests.
///
/// # Errors
/// [`RepositoryError::Damaged`] with everything that is not as it was; whatever kept it from being read.
pub async fn check(
    repository: &Repository,
    id: &str,
    manifest: &Manifest,
    share: Option<Share>,
    identities: Option<&Identities>,
    events: &Emitter,
    cancel: &CancellationToken,
) -> Result<Looked, RepositoryError> {
    let listed = repository.list(&repository.path(id)?).await?;
    let mut damage = Vec::new();
    let mut known = vec![repository.path(&format!("{id}/{FILE_NAME}"))?];
    let (mut wanted, mut total) = (Vec::new(), 0);
    for file in &manifest.files {
        let (name, bytes, _) = file.at_rest();
        let path = repository.path(&format!("{id}/{name}"))?;
        match listed.iter().find(|meta| meta.location == path) {
            None => damage.push(format!("{name} is missing")),
            Some(meta) if meta.size != bytes => {
                damage.push(format!("{name} has {} bytes instead of {bytes}", meta.size));
            }
            Some(_) if share.is_none_or(|share| share.has(file)) => {
                total += bytes;
                wanted.push(file);
            }
            Some(_) => {}
        }
        known.push(path);
    }
    let below = repository.path(id)?;
    for meta in listed.iter().filter(|meta| !known.contains(&meta.location)) {
        let name = meta.location.as_ref().strip_prefix(below.as_ref()).unwrap_or(meta.location.as_ref());
        damage.push(format!("{} does not belong to it", name.trim_start_matches('/')));
    }
    let mut looked = Looked::default();
    for file in wanted {
        let mut so_far = looked.bytes;
        let read = receive::file(repository, Wanted { id, file, identities, into: None, cancel }, |bytes| {
            so_far += bytes;
            events.emit(EventKind::Progress(Progress {
                unit: "bytes".into(),
                done: so_far,
                total: Some(total),
                what: id.into(),
                per_second: None,
                left_ms: None,
            }));
        });
        damage.extend(read.await?);
        looked.files += 1;
        looked.bytes += file.at_rest().1;
        looked.sealed += usize::from(file.stored.is_some() && identities.is_none());
    }
    if damage.is_empty() {
        Ok(looked)
    } else {
        Err(RepositoryError::Damaged { place: repository.place_of(id), damage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_file_is_in_one_share(path in "[a-z/0-9.]{1,30}", of in 1u64..40) {
            let file = FileEntry { path, bytes: 0, sha256: String::new(), stored: None };
            let shares = (1..=of).filter(|number| Share { number: *number, of }.has(&file)).count();
            prop_assert_eq!(shares, 1);
        }
    }

    #[test]
    fn a_share_is_part_of_a_whole() {
        assert_eq!("1/7".parse(), Ok(Share { number: 1, of: 7 }));
        for text in ["", "7", "0/7", "8/7", "1/0", "a/b", "-1/7", "1/7/2"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
