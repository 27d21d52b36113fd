//! What an anonymised copy says of itself, so that it is never taken for a backup.

use serde::{Deserialize, Serialize};

use super::failure::AnonymiseError;
use crate::backup::manifest::Manifest;
use crate::backup::whose::Whose;
use crate::target::Target;

/// In the manifest of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The run that made the backup which it was made from.
    pub from_run: String,
    /// Where pseudonyms come from.
    pub key: KeyOrigin,
    /// Columns that have other values.
    pub columns: usize,
    /// The share of rows, as it was asked for, if not all of them are in it. Such a copy proves no timing.
    pub sample: Option<String>,
}

/// Where the key came from. The key itself is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOrigin {
    /// The user's own: the next copy has the same pseudonyms.
    Own,
    /// Made up for one run.
    Random,
}

/// Ends the name of the folder beside a target's backups.
const SUFFIX: &str = "-anonymised";

/// The folder of a target's copies, beside that of its backups.
#[must_use]
pub fn folder_name(target: &str) -> String {
    format!("{target}{SUFFIX}")
}

impl Mark {
    /// Whether it may be restored for a target: not where it came from, nor where somebody expects the real
    /// thing. `manifest` says where that is, and `whose` what the target leads to: one server has many addresses.
    ///
    /// # Errors
    /// [`AnonymiseError::NotHere`].
    pub fn may_go_to(&self, target: &Target, whose: &Whose, manifest: &Manifest) -> Result<(), AnonymiseError> {
        let of = &manifest.target;
        // Whoever connects: what counts is the database.
        let place = |address: &str| address.rsplit('@').next().unwrap_or_default().to_owned();
        let same_address = place(&target.address()) == place(&manifest.address);
        let why = if target.name() == of || same_address || whose.is_surely_of(manifest) {
            "that is where it came from".to_owned()
        } else if target.is_protected() {
            format!("`{}` is protected", target.name())
        } else {
            return Ok(());
        };
        Err(AnonymiseError::NotHere { from: of.clone(), why })
    }
}
