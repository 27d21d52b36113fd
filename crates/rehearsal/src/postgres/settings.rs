//! What `ALTER DATABASE … SET` says of a database: no dump carries it.

use super::identifier::{literal, quote};
use super::query::{Stopped, server_words};
use super::session::Session;
use crate::error::Result;

/// Settings whose value is a list of identifiers (GUC_LIST_QUOTE in guc_tables.c).
const LISTS: &[&str] = &["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"];

/// A reader's setting: what was restored is there to be written.
const READ_ONLY: &str = "default_transaction_read_only";

/// Sets them for a database. Gives those that this server, or this role, does not take.
///
/// # Errors
/// The connection's, or the interruption.
pub async fn apply(session: &mut Session, database: &str, settings: &[(String, String)]) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for (name, value) in settings.iter().filter(|(name, _)| name != READ_ONLY) {
        // A list is stored with its members quoted; as one literal it would be one member.
        let value = if LISTS.contains(&name.as_str()) { value.clone() } else { literal(value) };
        let sql = format!("ALTER DATABASE {} SET {name} TO {value}", quote(database));
        match session.execute(&sql).await {
            Ok(_) => {}
            Err(Stopped::Failed(error)) => refused.push(format!("{name} ({})", server_words(&error))),
            Err(stopped) => return Err(Stopped::doing("set what the original has set")(stopped)),
        }
    }
    Ok(refused)
}
