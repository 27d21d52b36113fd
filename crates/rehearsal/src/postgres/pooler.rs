//! Is there a transaction pooler between us and the server?
//!
//! Behind one, consecutive transactions of a connection run in different sessions: advisory locks
//! and settings stay behind in sessions that others get next.

use tokio_util::sync::CancellationToken;

use super::query::Stopped;
use super::session::Session;
use crate::error::Result;
use crate::plan::Refusal;
use crate::target::Target;

/// Most of them have shown themselves by how the session began. The others are asked by two connections for
/// their backends' pids, while one of them is in a transaction: a pooler either moves the other one to another backend, or shows both the same.
///
/// # Errors
/// [`Refusal::Pooled`] when there is one.
pub async fn refuse(session: &mut Session, target: &Target, cancel: &CancellationToken) -> Result<()> {
    refuse_known(session)?;
    let before = pid(session).await?;
    let mut other = Session::connect(target, "pooler", cancel).await?;
    let doing = || Stopped::doing("look for a connection pooler");
    other.execute("BEGIN").await.map_err(doing())?;
    let beside = pid(&mut other).await?;
    let after = pid(session).await?;
    other.execute("ROLLBACK").await.map_err(doing())?;
    other.close().await;
    if before == after && after != beside {
        return Ok(());
    }
    Err(Refusal::Pooled { address: target.address() }.into())
}

/// Refuses one that has shown itself already: enough for what writes nothing, but needs a session.
///
/// # Errors
/// [`Refusal::Pooled`] when there is one.
pub fn refuse_known(session: &Session) -> Result<()> {
    if session.is_pooled() {
        return Err(Refusal::Pooled { address: session.target().address() }.into());
    }
    Ok(())
}

async fn pid(session: &mut Session) -> Result<Option<String>> {
    let rows = session
        .fetch_text("SELECT pg_backend_pid()", 1)
        .await
        .map_err(Stopped::doing("look for a connection pooler"))?;
    Ok(rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0)))
}
