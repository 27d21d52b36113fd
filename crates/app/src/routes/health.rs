//! `GET /health`: whether the service can do its work, which it cannot without its database.

use std::time::Duration;

use anyhow::Context;
use axum::{extract::State, http::StatusCode};
use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{AppState, extract::Json};

/// Shorter than the patience of whoever asks: a late answer is read as none.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
    timestamp: String,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health))
}

/// Whether the service can do its work
#[utoipa::path(get, path = "/health", tag = "operations", responses(
    (status = OK, description = "It can.", body = Health),
    (status = SERVICE_UNAVAILABLE, description = "It cannot: the database does not answer.", body = Health)
))]
async fn health(State(state): State<AppState>) -> (StatusCode, Json<Health>) {
    let (code, status) = match ping(&state.pool).await {
        Ok(()) => (StatusCode::OK, "healthy"),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "unhealthy");
            (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
        }
    };
    let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    (code, Json(Health { status, timestamp }))
}

async fn ping(pool: &PgPool) -> anyhow::Result<()> {
    timeout(PATIENCE, sqlx::query!("SELECT 1 AS one").fetch_one(pool))
        .await
        .context("the database did not answer in time")?
        .context("the database cannot be asked")?;
    Ok(())
}
