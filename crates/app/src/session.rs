//! Who is asking: the session carries a user's id and nothing else, so that what is known about
//! the user is always what the database says now.

use anyhow::anyhow;
use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use tower_sessions::Session;

use crate::{
    AppState,
    error::ApiError,
    users::{self, User},
};

const USER_ID: &str = "user_id";

/// The user whose session the request carries; without one the request is answered 401.
pub struct CurrentUser(pub User);

impl<S> FromRequestParts<S> for CurrentUser
where
    AppState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let session = Session::from_request_parts(parts, state)
            .await
            .map_err(|(_, message)| ApiError::Internal(anyhow!(message)))?;
        let id = session.get(USER_ID).await?.ok_or(ApiError::NotLoggedIn)?;
        let user = users::by_id(&AppState::from_ref(state).pool, id).await?;
        user.map(Self).ok_or(ApiError::NotLoggedIn)
    }
}

/// Makes the session that of a user.
pub async fn start(session: &Session, user_id: i64) -> Result<(), ApiError> {
    // A new id, so that one planted in the browser before log-in is worth nothing after it.
    session.cycle_id().await?;
    // What was kept for somebody else who used this browser stays theirs.
    session.clear().await;
    session.insert(USER_ID, user_id).await?;
    Ok(())
}
