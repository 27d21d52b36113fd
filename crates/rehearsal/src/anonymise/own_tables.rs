//! Our own tables in a copy: what they hold of rows, or of what people wrote, does not go with it.

use super::failure::AnonymiseError;
use crate::error::Result;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::{journal, overrides};

/// What is ours in our schema. Anything else there is a user's, and needs rules.
pub(super) const NAMES: [&str; 2] = [journal::TABLE, overrides::TABLE];

/// Refuses a backup of a database in which a batched statement is half done. Where it stands is a row's key, which
/// must not be in the copy; and without it the copy would say that nothing was done.
pub(super) async fn refuse_half_done(session: &mut Session) -> Result<()> {
    if let Some(version) = journal::half_done_batch(session).await? {
        return Err(AnonymiseError::HalfDone { version }.into());
    }
    Ok(())
}

/// Empties what rows and people have put into them.
pub(super) async fn empty(session: &mut Session) -> Result<()> {
    let doing = || Stopped::doing("empty our own tables in the copy");
    journal::forget_keys(session).await.map_err(doing())?;
    overrides::forget_reasons(session).await.map_err(doing())
}
