//! Which backup is meant: an id, a folder's path, or the URL of one in an object store.

use std::path::Path;

use super::failure::RepositoryError;
use super::location::Location;
use super::place::Repository;

/// A backup that was named.
#[derive(Clone)]
pub struct Named {
    /// Where it is.
    pub repository: Repository,
    /// Its id there.
    pub id: String,
}

/// Finds what a word names. `here` is the place of the target's own backups.
///
/// # Errors
/// [`RepositoryError::NoSuchBackup`] for what is neither; whether it is there is seen when it is read.
pub fn named(word: &str, here: &Repository, options: &super::options::StoreOptions) -> Result<Named, RepositoryError> {
    let nothing = || RepositoryError::NoSuchBackup { id: word.into(), place: here.place() };
    let is_url = word.contains("://");
    if !is_url && !word.contains('/') && !Path::new(word).is_dir() {
        let plain = !word.is_empty() && !word.starts_with('.') && !word.contains('\\');
        return plain.then(|| Named { repository: here.clone(), id: word.into() }).ok_or_else(nothing);
    }
    let location = if is_url {
        let unusable = |reason| RepositoryError::Unusable { place: "the URL of the backup".into(), reason };
        word.parse().map_err(unusable)?
    } else {
        let whole = Path::new(word).canonicalize().map_err(RepositoryError::io("find", word))?;
        Location::Folder(whole)
    };
    let (target_place, id) = location.split_last().ok_or_else(nothing)?;
    let (place, target) = target_place.split_last().ok_or_else(nothing)?;
    let own = same(&place, here.location()) && target == here.target();
    let repository = if own { here.clone() } else { Repository::open(&place, &target, options, here.patience())? };
    Ok(Named { repository, id })
}

fn same(one: &Location, other: &Location) -> bool {
    match (one, other) {
        (Location::Folder(one), Location::Folder(other)) => {
            one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
        }
        _ => one == other,
    }
}
