//! Opens a place: credentials, time limits and retries of each service.

use std::path::Path as FolderPath;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use super::failure::RepositoryError;
use super::location::{Location, Remote, Service};
use super::options::StoreOptions;

/// From the first wait before another try to the longest: a service that asks for less (S3's SlowDown) gets it.
const BACKOFF: BackoffConfig =
    BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(10), base: 2.0 };

/// Patience decides, not a number of tries.
const TRIES: usize = 1_000;

/// A place that is open.
#[derive(Clone)]
pub(super) struct Store {
    pub objects: Arc<dyn ObjectStore>,
    /// Where large objects are sent in parts; a folder's files are written as files.
    pub parts: Option<Arc<dyn MultipartStore>>,
    /// What all paths begin with.
    pub root: Path,
}

/// Opens the place; nothing is asked of it yet.
pub(super) fn open(location: &Location, options: &StoreOptions, patience: Duration) -> Result<Store, RepositoryError> {
    let unusable =
        |reason: String| RepositoryError::Unusable { place: location.to_string(), reason: options.redacted(&reason) };
    match location {
        Location::Folder(folder) => folder_store(folder).map_err(unusable),
        Location::Remote(remote) => {
            // The first one counts; whoever was faster has chosen the same.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let store =
                remote_store(remote, options, retries(patience)).map_err(|error| unusable(error.to_string()))?;
            let root = Path::parse(&remote.prefix).map_err(|error| unusable(error.to_string()))?;
            Ok(Store { root, ..store })
        }
    }
}

fn folder_store(folder: &FolderPath) -> Result<Store, String> {
    // One that is not there yet has no backups; whoever writes makes it.
    let whole = match folder.canonicalize() {
        Ok(whole) => whole,
        Err(_) => std::path::absolute(folder).map_err(|error| error.to_string())?,
    };
    let root = Path::from_absolute_path(&whole).map_err(|error| error.to_string())?;
    // What is left of a backup or a lease when its last file goes is an empty folder.
    Ok(Store { objects: Arc::new(LocalFileSystem::new().with_automatic_cleanup(true)), parts: None, root })
}

fn retries(patience: Duration) -> RetryConfig {
    RetryConfig { backoff: BACKOFF, max_retries: TRIES, retry_timeout: patience }
}

fn both<T: ObjectStore + MultipartStore>(store: T) -> Store {
    let store = Arc::new(store);
    Store { objects: Arc::clone(&store) as Arc<dyn ObjectStore>, parts: Some(store), root: Path::default() }
}

/// The variables that the service's builder knows, with their values.
fn known<'a, K: FromStr>(options: &'a StoreOptions, prefix: &str) -> Vec<(K, &'a str)> {
    options.with_prefix(prefix).filter_map(|(name, value)| Some((name.parse().ok()?, value))).collect()
}

fn remote_store(remote: &Remote, options: &StoreOptions, retries: RetryConfig) -> object_store::Result<Store> {
    let bucket = &remote.bucket;
    match remote.service {
        Service::S3 => {
            let builder = known::<AmazonS3ConfigKey>(options, "AWS_")
                .into_iter()
                .fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
            builder.with_bucket_name(bucket).with_retry(retries).build().map(both)
        }
        Service::Google => {
            let builder = known::<GoogleConfigKey>(options, "GOOGLE_")
                .into_iter()
                .fold(GoogleCloudStorageBuilder::new(), |builder, (key, value)| builder.with_config(key, value));
            builder.with_bucket_name(bucket).with_retry(retries).build().map(both)
        }
        Service::Azure => {
            let builder = known::<AzureConfigKey>(options, "AZURE_")
                .into_iter()
                .fold(MicrosoftAzureBuilder::new(), |builder, (key, value)| builder.with_config(key, value));
            builder.with_container_name(bucket).with_retry(retries).build().map(both)
        }
    }
}
