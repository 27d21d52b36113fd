//! The first provider that can serve, and why not those before it.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::provider::{Choice, Request, SandboxError};
use super::sandbox::Sandbox;
use crate::context::Environment;
use crate::error::{Error, Result};
use crate::event::{Emitter, EventKind, milliseconds};

/// Starts a server by the user's choice, and says which provider served and why.
///
/// # Errors
/// The chosen provider's; with `auto`, [`SandboxError::None`] with a reason each.
pub async fn start(
    choice: Choice,
    request: &Request,
    environment: &Environment,
    events: &Emitter,
    cancel: &CancellationToken,
) -> Result<Sandbox> {
    let began = Instant::now();
    let mut reasons = Vec::new();
    let wanted = choice.name();
    for provider in super::all(environment) {
        if wanted.is_some_and(|wanted| wanted != provider.name()) {
            continue;
        }
        match provider.start(request, cancel).await {
            Ok(sandbox) => {
                events.emit(EventKind::SandboxStarted {
                    provider: sandbox.provider().into(),
                    server: sandbox.version(),
                    reasons,
                    duration_ms: milliseconds(began),
                });
                return Ok(sandbox);
            }
            // Only "nothing to work with here" is passed over; a server that does not start is told.
            Err(Error::Sandbox(error @ SandboxError::Unavailable { .. })) if wanted.is_none() => {
                reasons.push(error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Err(SandboxError::None { reasons }.into())
}
