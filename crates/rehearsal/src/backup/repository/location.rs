//! `backup.to`: a folder, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

/// Where backups live. Endpoints and credentials are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A place in an object store.
    Remote(Remote),
}

/// A place in an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Whose protocol it speaks.
    pub service: Service,
    /// The bucket, or Azure's container.
    pub bucket: String,
    /// What the keys of all objects begin with; no slash at either end, and often nothing.
    pub prefix: String,
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, and who speaks like it.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Service {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    /// What stands before `://`.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

impl Location {
    /// The folder, if it is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Remote(_) => None,
        }
    }

    /// Whether it is reached over a network.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// Something below it, as people read it and `restore` takes it.
    #[must_use]
    pub fn at(&self, below: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(below).display().to_string(),
            Self::Remote(_) => format!("{self}/{below}"),
        }
    }

    /// The last name of it and the place that it is in; nothing for a place without a name.
    #[must_use]
    pub fn split_last(&self) -> Option<(Self, String)> {
        match self {
            Self::Folder(folder) => {
                Some((Self::Folder(folder.parent()?.to_owned()), folder.file_name()?.to_str()?.to_owned()))
            }
            Self::Remote(remote) => {
                let (prefix, last) = remote.prefix.rsplit_once('/').unwrap_or(("", &remote.prefix));
                let last = Some(last).filter(|last| !last.is_empty())?.to_owned();
                Some((Self::Remote(Remote { prefix: prefix.to_owned(), ..remote.clone() }), last))
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Remote(Remote { service, bucket, prefix }) if prefix.is_empty() => {
                write!(f, "{}://{bucket}", service.scheme())
            }
            Self::Remote(Remote { service, bucket, prefix }) => write!(f, "{}://{bucket}/{prefix}", service.scheme()),
        }
    }
}

impl TryFrom<String> for Location {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Location {
    type Err = String;

    /// The complaints never repeat the text: somebody may have put a key into it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err("a place for backups is a folder or a URL, and not nothing".into());
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::Folder(text.into())) };
        let Some(service) = Service::ALL.into_iter().find(|service| service.scheme() == scheme) else {
            return Err("backups go to a folder, s3://, gs:// or az://; a folder is named by its path alone".into());
        };
        if rest.contains(['@', '?', '#']) || rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!(
                "{scheme}://… is a bucket and a prefix; keys and endpoints come from the environment, never from a file"
            ));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        if bucket.is_empty() || bucket.contains(':') {
            return Err(format!("{scheme}:// must be followed by the name of a bucket"));
        }
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!("the prefix of {scheme}://{bucket} has an empty part, `.` or `..` in it"));
        }
        Ok(Self::Remote(Remote { service, bucket: bucket.into(), prefix: prefix.into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_told_apart() {
        assert_eq!("backups/".parse(), Ok(Location::Folder("backups/".into())));
        let place: Location = "s3://bucket/a/b/".parse().expect("a place");
        assert_eq!(place.to_string(), "s3://bucket/a/b");
        let (above, last) = place.split_last().expect("a name");
        assert_eq!((above.to_string().as_str(), last.as_str()), ("s3://bucket/a", "b"));
        assert_eq!("az://box".parse::<Location>().expect("a place").split_last(), None);
    }

    #[test]
    fn what_is_no_place_is_refused_without_repeating_it() {
        for text in [
            "",
            "ftp://x/y",
            "s3://",
            "s3:///x",
            "s3://key:secret@b/p",
            "gs://b/p?token=secret",
            "s3://b/a//c",
            "s3://b/../c",
        ] {
            let complaint = text.parse::<Location>().expect_err(text);
            assert!(!complaint.contains("secret"), "{complaint}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(bucket in "[a-z0-9.-]{3,20}", prefix in "([a-z0-9_-]{1,5}(/[a-z0-9_-]{1,5}){0,3})?") {
            let text = format!("s3://{bucket}/{prefix}");
            let place: Location = text.parse().expect("a place");
            prop_assert_eq!(place.to_string().parse::<Location>(), Ok(place));
        }
    }
}
