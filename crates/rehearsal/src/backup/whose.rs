//! Whose backups they are. A target is a name, and a name leads to another database as soon as its URL changes.

use super::manifest::Manifest;
use crate::error::Result;
use crate::postgres::catalog;
use crate::postgres::session::Session;

/// A database as its backups know it: by its server and its name. Its oid is a new one after each restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The cluster's number. Nothing where the role may not see it.
    system_identifier: Option<String>,
    database: String,
}

impl Whose {
    /// The database of that name on the session's server.
    ///
    /// # Errors
    /// The server's.
    pub async fn of(session: &mut Session, database: &str) -> Result<Self> {
        let system_identifier = catalog::system_identifier(session).await?;
        Ok(Self { system_identifier, database: database.to_owned() })
    }

    /// Whether a backup was made of it, as far as both say.
    #[must_use]
    pub fn is_of(&self, manifest: &Manifest) -> bool {
        let there = manifest.origin.as_ref().and_then(|origin| origin.system_identifier.as_ref());
        let servers = self.system_identifier.as_ref().zip(there);
        manifest.database == self.database && servers.is_none_or(|(here, there)| here == there)
    }

    /// Whether it was, where both must say so.
    #[must_use]
    pub fn is_surely_of(&self, manifest: &Manifest) -> bool {
        self.system_identifier.is_some()
            && manifest.origin.as_ref().is_some_and(|origin| origin.system_identifier == self.system_identifier)
            && manifest.database == self.database
    }
}
