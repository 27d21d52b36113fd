//! One target's backups in one place.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::failure::RepositoryError;
use super::location::Location;
use super::object::{again, reason};
use super::options::StoreOptions;
use super::store::{self, Store};
use crate::backup::manifest::{FILE_NAME, Manifest};

/// Beside the targets' folders: what is known of backups and is no part of them.
const ASIDE: &str = ".rehearsal";

/// See the module.
#[derive(Clone)]
pub struct Repository {
    location: Location,
    target: String,
    options: StoreOptions,
    patience: Duration,
    pub(super) store: Store,
}

impl Repository {
    /// Opens a target's place; nothing is asked of it yet. `patience` is how long one request is tried.
    ///
    /// # Errors
    /// [`RepositoryError::Unusable`].
    pub fn open(
        location: &Location,
        target: &str,
        options: &StoreOptions,
        patience: Duration,
    ) -> Result<Self, RepositoryError> {
        let store = store::open(location, options, patience)?;
        Ok(Self { location: location.clone(), target: target.into(), options: options.clone(), patience, store })
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Whose backups these are.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Where a backup is, as people read it and `restore` takes it.
    #[must_use]
    pub fn place_of(&self, id: &str) -> String {
        self.location.at(&format!("{}/{id}", self.target))
    }

    /// The place of this target's backups.
    #[must_use]
    pub fn place(&self) -> String {
        self.location.at(&self.target)
    }

    /// Whether it can be asked at all: a long dump is not begun for a place that nobody reaches.
    ///
    /// # Errors
    /// The place's.
    pub async fn reach(&self) -> Result<(), RepositoryError> {
        self.names().await.map(drop)
    }

    /// What is right below the place. A folder that is not there yet has nothing in it; a bucket that is not
    /// there is a mistake.
    pub(super) async fn names(&self) -> Result<Vec<String>, RepositoryError> {
        let path = self.path("")?;
        let listed = again(self.patience, || self.store.objects.list_with_delimiter(Some(&path))).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) if !self.location.is_remote() => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(format!("look at {}", self.place()))(error)),
        };
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }

    /// A backup's manifest; nothing where there is none.
    ///
    /// # Errors
    /// The place's. [`crate::backup::BackupError::BadManifest`] with the backup's place instead of a folder.
    pub async fn manifest(&self, id: &str) -> crate::error::Result<Option<Manifest>> {
        let Some(text) = self.text(&self.path(&format!("{id}/{FILE_NAME}"))?).await? else { return Ok(None) };
        let place = self.place_of(id);
        Ok(Some(Manifest::from_text(&String::from_utf8_lossy(&text), place.as_ref())?))
    }

    /// A path of this target: `ID/dump/toc.dat`.
    pub(super) fn path(&self, below: &str) -> Result<Path, RepositoryError> {
        self.path_at(&self.target, below)
    }

    /// A path beside the target's folder.
    pub(super) fn aside(&self, below: &str) -> Result<Path, RepositoryError> {
        self.path_at(&format!("{ASIDE}/{}", self.target), below)
    }

    fn path_at(&self, folder: &str, below: &str) -> Result<Path, RepositoryError> {
        let parts = [self.store.root.as_ref(), folder, below];
        let whole = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
        Path::parse(&whole)
            .map_err(|error| RepositoryError::Unusable { place: self.place(), reason: error.to_string() })
    }

    /// How long one request is tried.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Says what was tried, and why it did not work, without anybody's secrets.
    pub(super) fn failed(&self, doing: impl Into<String>) -> impl FnOnce(object_store::Error) -> RepositoryError {
        let doing = doing.into();
        move |error| {
            let words = self.options.redacted(&reason(&error));
            match error {
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                    RepositoryError::Denied { doing, reason: words }
                }
                // Objects that are not there are no errors: it is the bucket.
                object_store::Error::NotFound { .. } if self.location.is_remote() => {
                    RepositoryError::Unusable { place: self.location.to_string(), reason: words }
                }
                _ if self.location.is_remote() => RepositoryError::Unreachable { doing, reason: words },
                _ => RepositoryError::Local { doing, reason: words },
            }
        }
    }

    /// A small object; nothing where there is none.
    pub(super) async fn text(&self, path: &Path) -> Result<Option<Bytes>, RepositoryError> {
        match again(self.patience, || async { self.store.objects.get(path).await?.bytes().await }).await {
            Ok(text) => Ok(Some(text)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(format!("read {path}"))(error)),
        }
    }

    /// Size and time of one object; nothing where there is none.
    pub(super) async fn look(&self, path: &Path) -> Result<Option<ObjectMeta>, RepositoryError> {
        match self.store.objects.head(path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(format!("look at {path}"))(error)),
        }
    }

    /// Writes a small object; false when it may only be created, and is there.
    pub(super) async fn put(&self, path: &Path, text: Bytes, mode: PutMode) -> Result<bool, RepositoryError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = again(self.patience, || {
            self.store.objects.put_opts(path, PutPayload::from_bytes(text.clone()), options.clone())
        });
        match put.await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed(format!("write {path}"))(error)),
        }
    }

    /// All objects below a path.
    pub(super) async fn list(&self, path: &Path) -> Result<Vec<ObjectMeta>, RepositoryError> {
        let listed: Result<Vec<_>, _> =
            again(self.patience, || self.store.objects.list(Some(path)).try_collect()).await;
        match listed {
            Ok(objects) => Ok(objects),
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(self.failed(format!("list {path}"))(error)),
        }
    }

    /// Removes an object; one that is gone already is as good.
    pub(super) async fn remove(&self, path: &Path) -> Result<(), RepositoryError> {
        match self.store.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(format!("remove {path}"))(error)),
        }
    }
}
