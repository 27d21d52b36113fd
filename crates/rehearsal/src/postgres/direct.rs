//! A target with two URLs: the one that its services use, which may lead through a connection pooler, and one
//! that leads to the server itself. The second is taken, once both are known to be the same database.

use tokio_util::sync::CancellationToken;

use super::connect::ConnectError;
use super::identity::{self, Found};
use super::session::Session;
use crate::error::Result;
use crate::target::Target;

/// Takes `direct`, which says from then on whether `usual` is a pooler. What cannot be compared is not taken.
///
/// # Errors
/// [`ConnectError::TwoDatabases`]; any other [`ConnectError`] where one of them does not answer.
pub async fn choose(usual: &Target, direct: Target, cancel: &CancellationToken) -> Result<Target> {
    let ((through, is_pooled), (directly, _)) = tokio::try_join!(look(usual, cancel), look(&direct, cancel))?;
    if through != directly {
        return Err(ConnectError::TwoDatabases {
            target: direct.name().to_owned(),
            usual: format!("{through} at {}", usual.address()),
            direct: format!("{directly} at {}", direct.address()),
        }
        .into());
    }
    Ok(if is_pooled { direct.instead_of(usual) } else { direct })
}

async fn look(target: &Target, cancel: &CancellationToken) -> Result<(Found, bool)> {
    let mut session = Session::connect(target, "compare", cancel).await?;
    let found = identity::look(&mut session).await;
    let is_pooled = session.is_pooled();
    session.close().await;
    Ok((found?, is_pooled))
}
