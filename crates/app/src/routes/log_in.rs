//! `POST /log-in` starts a session and says where to go next; `POST /log-out` ends it.

use axum::{
    Json, Router,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    routing::post,
};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use crate::{AppState, error::ApiError, session, users};

#[derive(Deserialize)]
struct LogIn {
    email: String,
    password: String,
}

#[derive(Serialize)]
struct LoggedIn {
    next: &'static str,
}

pub fn routes() -> Router<AppState> {
    Router::new().route("/log-in", post(log_in)).route("/log-out", post(log_out))
}

async fn log_in(
    State(state): State<AppState>,
    session: Session,
    body: Result<Json<LogIn>, JsonRejection>,
) -> Result<Json<LoggedIn>, ApiError> {
    let Json(input) = body?;
    // PostgreSQL's text cannot hold the character, so no account has such an address.
    if input.email.contains('\0') {
        return Err(ApiError::WrongCredentials);
    }
    let found = users::credentials(&state.pool, &input.email).await?;
    let stored = found.as_ref().map(|user| user.hashed_password.clone());
    let passed = state.passwords.verify(input.password, stored).await;
    match found {
        Some(user) if passed.map_err(ApiError::Internal)? => {
            session::start(&session, user.user_id).await?;
            let next = users::home(user.onboarding_completed);
            Ok(Json(LoggedIn { next }))
        }
        _ => Err(ApiError::WrongCredentials),
    }
}

async fn log_out(session: Session) -> Result<StatusCode, ApiError> {
    session.flush().await?;
    Ok(StatusCode::NO_CONTENT)
}
