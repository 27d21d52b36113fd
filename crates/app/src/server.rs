//! The routes with what goes around each of them: sessions and traces.

use std::future::Future;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tower_http::trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer};
use tower_sessions::{Expiry, MemoryStore, SessionManagerLayer, cookie::time::Duration};
use tracing::Level;

use crate::{AppState, Config, routes};

/// The whole service as a value, to be served or called directly.
pub fn router(state: AppState) -> Router {
    // In memory: a restart logs everybody out, and a second replica knows nothing of the first.
    let sessions = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(state.secure_cookies)
        .with_expiry(Expiry::OnInactivity(Duration::days(1)));
    let traces = TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
        .on_response(DefaultOnResponse::new().level(Level::INFO));

    routes::all().layer(sessions).layer(traces).with_state(state)
}

/// Answers on `listener` until `shutdown` completes and the requests under way are answered.
///
/// # Errors
/// When the database cannot be reached at the start.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let state = AppState::connect(&config).await?;
    let pool = state.pool.clone();
    tracing::info!(address = %listener.local_addr()?, "listening");

    axum::serve(listener, router(state)).with_graceful_shutdown(shutdown).await.context("failed to serve")?;
    pool.close().await;
    Ok(())
}
