//! `/profiles`: the names a user races under. One is the default, one is the session's.

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use tower_sessions::Session;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::{Json, Path},
    fields::Fields,
    profiles::{self, CurrentProfile, Profile},
    session::CurrentUser,
};

#[derive(Deserialize, ToSchema)]
struct ProfileInput {
    display_name: String,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(current))
        .routes(routes!(set_default))
        .routes(routes!(switch))
}

/// One's own profiles
#[utoipa::path(get, path = "/profiles", tag = "racing", security(("session" = [])), responses(
    (status = OK, description = "At most 100: the default, then the oldest first.", body = Vec<Profile>),
    ApiError
))]
async fn list(State(state): State<AppState>, CurrentUser(user): CurrentUser) -> Result<Json<Vec<Profile>>, ApiError> {
    Ok(Json(profiles::of(&state.pool, user.id).await?))
}

/// Add a profile
#[utoipa::path(
    post, path = "/profiles", tag = "racing", request_body = ProfileInput, security(("session" = [])),
    responses((status = CREATED, description = "The new profile; the first one is the default.", body = Profile), ApiError)
)]
async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Json(input): Json<ProfileInput>,
) -> Result<(StatusCode, Json<Profile>), ApiError> {
    let mut fields = Fields::default();
    fields.line("display_name", &input.display_name);
    fields.check()?;
    let profile = profiles::insert(&state.pool, user.id, &input.display_name).await?;
    Ok((StatusCode::CREATED, Json(profile)))
}

/// The profile that the session is on
#[utoipa::path(get, path = "/profiles/current", tag = "racing", security(("session" = [])), responses(
    (status = OK, description = "The one it was switched to, else the default.", body = Profile),
    ApiError
))]
async fn current(CurrentProfile(profile): CurrentProfile) -> Json<Profile> {
    Json(profile)
}

/// Make a profile the default
#[utoipa::path(
    post, path = "/profiles/{id}/default", tag = "racing", params(("id" = i64, Path)), security(("session" = [])),
    responses((status = OK, description = "The profile, the default now.", body = Profile), ApiError)
)]
async fn set_default(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Result<Json<Profile>, ApiError> {
    let profile = profiles::set_default(&state.pool, user.id, id).await?;
    profile.map(Json).ok_or(ApiError::NotFound)
}

/// Switch the session to a profile
#[utoipa::path(
    post, path = "/profiles/{id}/switch", tag = "racing", params(("id" = i64, Path)), security(("session" = [])),
    responses((status = OK, description = "The session is on this profile now.", body = Profile), ApiError)
)]
async fn switch(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    session: Session,
    Path(id): Path<i64>,
) -> Result<Json<Profile>, ApiError> {
    let profile = profiles::by_id(&state.pool, user.id, id).await?.ok_or(ApiError::NotFound)?;
    profiles::switch(&session, &profile).await?;
    Ok(Json(profile))
}
