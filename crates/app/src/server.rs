//! The routes with what goes around each of them: sessions, limits, other origins, traces.

use std::{future::Future, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{Method, StatusCode, header},
};
use tokio::net::TcpListener;
use tower_http::{
    cors::CorsLayer,
    timeout::TimeoutLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tower_sessions::{Expiry, MemoryStore, SessionManagerLayer, cookie::time};
use tracing::{Level, Span};

use crate::{AppState, Config, error::ApiError, routes};

/// Longer than a connection and a statement may be waited for (see `state.rs`), so that who runs
/// into those is told so; shorter than the 30 s after which usual proxies give up.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// The longest text that a field takes, each of its characters four bytes, and room around it.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// The whole service as a value, to be served or called directly.
pub fn router(state: AppState) -> Router {
    let config = &state.config;
    // In memory: a restart logs everybody out, and a second replica knows nothing of the first.
    let sessions = SessionManagerLayer::new(MemoryStore::default())
        .with_secure(config.secure_cookies)
        .with_expiry(Expiry::OnInactivity(time::Duration::days(1)))
        .with_signed(config.session_secret.key());
    // Each origin by name: a wildcard is refused by browsers where cookies come along.
    let cors = CorsLayer::new()
        .allow_origin(config.cors_origins.clone())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION]);
    let traces =
        TraceLayer::new_for_http().make_span_with(span).on_response(DefaultOnResponse::new().level(Level::INFO));

    routes::documented()
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async || ApiError::NoMethod)
        .layer(sessions)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_LIMIT))
        .layer(cors)
        .layer(traces)
        .with_state(state)
}

/// What the log says a request asked for: the route instead of the path, which may hold a token.
fn span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    tracing::info_span!("request", method = %request.method(), route)
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
    let state = AppState::connect(config).await?;
    let pool = state.pool.clone();
    tracing::info!(address = %listener.local_addr()?, "listening");

    axum::serve(listener, router(state)).with_graceful_shutdown(shutdown).await.context("failed to serve")?;
    pool.close().await;
    Ok(())
}
