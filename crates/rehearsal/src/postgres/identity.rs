//! Whether the database that answers is the one that is meant: a URL may lead elsewhere than its name says.

use serde::Deserialize;

use super::connect::ConnectError;
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// What a target's database is known by, whatever URL leads to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The cluster's number, made by initdb and kept by all its replicas:
    /// `SELECT system_identifier FROM pg_control_system()`.
    pub system_identifier: Option<String>,
    /// The database's name.
    pub database: Option<String>,
}

const WHO: &str = "SELECT current_database(), (SELECT system_identifier FROM pg_control_system())";

impl Identity {
    /// Compares with who answered.
    ///
    /// # Errors
    /// [`ConnectError::Elsewhere`], or the server's: the role may not have the right to look.
    pub(super) async fn check(&self, session: &mut Session) -> Result<()> {
        let rows = session.fetch_text(WHO, 1).await.map_err(Stopped::doing("see which database this is"))?;
        let Some([Some(database), Some(system_identifier)]) = rows.rows.first().map(Vec::as_slice) else {
            return Err(self.elsewhere(session, "nobody that says who it is".into()).into());
        };
        let differs = |pinned: &Option<String>, found: &String| pinned.as_ref().is_some_and(|pinned| pinned != found);
        if differs(&self.database, database) || differs(&self.system_identifier, system_identifier) {
            let found = format!("database {database} of system {system_identifier}");
            return Err(self.elsewhere(session, found).into());
        }
        Ok(())
    }

    fn elsewhere(&self, session: &Session, found: String) -> ConnectError {
        let pinned = [("database", &self.database), ("of system", &self.system_identifier)];
        let pinned = pinned.iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?)));
        ConnectError::Elsewhere {
            target: session.target().to_string(),
            pinned: pinned.collect::<Vec<_>>().join(" "),
            found,
        }
    }
}
