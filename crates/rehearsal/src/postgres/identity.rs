//! Whether the database that answers is the one that is meant: a URL may lead elsewhere than its name says.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::connect::ConnectError;
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// What a target's database is known by, whatever URL leads to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The cluster's number, made by initdb and kept by all its replicas:
    /// `SELECT system_identifier FROM pg_control_system()`.
    pub system_identifier: Option<String>,
    /// The database's name.
    pub database: Option<String>,
}

const WHO: &str = "SELECT current_database(), (SELECT system_identifier FROM pg_control_system())";

/// Which database answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    database: String,
    system_identifier: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {} of system {}", self.database, self.system_identifier)
    }
}

/// Asks who answers.
///
/// # Errors
/// The server's: the role may not have the right to look.
pub(super) async fn look(session: &mut Session) -> Result<Found> {
    let doing = || Stopped::doing("see which database this is");
    let rows = session.fetch_text(WHO, 1).await.map_err(doing())?;
    let Some([Some(database), Some(system_identifier)]) = rows.rows.first().map(Vec::as_slice) else {
        return Err(doing()(Stopped::Unexpected("nobody that says who it is".into())));
    };
    Ok(Found { database: database.clone(), system_identifier: system_identifier.clone() })
}

impl Identity {
    /// Compares with who answered.
    ///
    /// # Errors
    /// [`ConnectError::Elsewhere`], or the server's.
    pub(super) async fn check(&self, session: &mut Session) -> Result<()> {
        let found = look(session).await?;
        let differs = |pinned: &Option<String>, found: &String| pinned.as_ref().is_some_and(|pinned| pinned != found);
        if differs(&self.database, &found.database) || differs(&self.system_identifier, &found.system_identifier) {
            return Err(self.elsewhere(session, &found).into());
        }
        Ok(())
    }

    fn elsewhere(&self, session: &Session, found: &Found) -> ConnectError {
        let pinned = [("database", &self.database), ("of system", &self.system_identifier)];
        let pinned = pinned.iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?)));
        ConnectError::Elsewhere {
            target: session.target().to_string(),
            pinned: pinned.collect::<Vec<_>>().join(" "),
            found: found.to_string(),
        }
    }
}
