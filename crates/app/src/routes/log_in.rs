//! `POST /log-in` starts a session and says where to go next; `POST /log-out` ends it.

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tower_sessions::Session;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{AppState, error::ApiError, extract::Json, fields::Fields, session, users};

#[derive(Deserialize, ToSchema)]
struct LogIn {
    /// Either this or the username.
    email: Option<String>,
    username: Option<String>,
    password: String,
}

#[derive(Serialize, ToSchema)]
struct LoggedIn {
    /// The page to go to.
    next: &'static str,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(log_in)).routes(routes!(log_out))
}

/// Log in
#[utoipa::path(post, path = "/log-in", tag = "accounts", request_body = LogIn, responses(
    (status = OK, description = "A session has begun; the cookie is its key.", body = LoggedIn),
    ApiError
))]
async fn log_in(
    State(state): State<AppState>,
    session: Session,
    Json(input): Json<LogIn>,
) -> Result<Json<LoggedIn>, ApiError> {
    let (email, username) = (input.email.as_deref(), input.username.as_deref());
    let mut fields = Fields::default();
    fields.require(email.is_some() != username.is_some(), "email", "or username must be given, one of the two");
    fields.check()?;
    // PostgreSQL's text cannot hold the character, so no account has such a name.
    if email.or(username).is_some_and(|name| name.contains('\0')) {
        return Err(ApiError::WrongCredentials);
    }
    // Usernames are lower-case; keyboards that write a capital first are forgiven.
    let username = username.map(str::to_ascii_lowercase);
    let found = users::credentials(&state.pool, email, username.as_deref()).await?;
    let stored = found.as_ref().and_then(|user| user.hashed_password.clone());
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

/// Log out
#[utoipa::path(post, path = "/log-out", tag = "accounts", responses(
    (status = NO_CONTENT, description = "There is no session any more."),
    ApiError
))]
async fn log_out(session: Session) -> Result<StatusCode, ApiError> {
    session.flush().await?;
    Ok(StatusCode::NO_CONTENT)
}
