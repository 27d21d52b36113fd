//! `GET /onboarding` shows what is to be done, `POST /onboarding` completes it. Whoever has
//! completed it is sent on.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::Json,
    session::CurrentUser,
    users::{self, User},
};

#[derive(Serialize, ToSchema)]
struct Onboarding {
    page: &'static str,
    user: User,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show, complete))
}

/// What is to be done
#[utoipa::path(get, path = "/onboarding", tag = "pages", security(("session" = [])), responses(
    (status = OK, description = "The onboarding.", body = Onboarding),
    (status = SEE_OTHER, description = "It is completed: on to the dashboard."),
    ApiError
))]
async fn show(CurrentUser(user): CurrentUser) -> Response {
    if user.onboarding_completed {
        return Redirect::to("/dashboard").into_response();
    }
    Json(Onboarding { page: "onboarding", user }).into_response()
}

/// Complete the onboarding
#[utoipa::path(post, path = "/onboarding", tag = "pages", security(("session" = [])), responses(
    (status = SEE_OTHER, description = "It is completed: on to the dashboard."),
    ApiError
))]
async fn complete(State(state): State<AppState>, CurrentUser(user): CurrentUser) -> Result<Redirect, ApiError> {
    users::complete_onboarding(&state.pool, user.id).await?;
    Ok(Redirect::to("/dashboard"))
}
