//! `GET /dashboard`: a user's home, once the onboarding is completed.

use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{AppState, error::ApiError, extract::Json, session::CurrentUser, users::User};

#[derive(Serialize, ToSchema)]
struct Dashboard {
    page: &'static str,
    user: User,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The dashboard
#[utoipa::path(get, path = "/dashboard", tag = "pages", security(("session" = [])), responses(
    (status = OK, description = "The dashboard.", body = Dashboard),
    (status = SEE_OTHER, description = "The onboarding comes first."),
    ApiError
))]
async fn show(CurrentUser(user): CurrentUser) -> Response {
    if !user.onboarding_completed {
        return Redirect::to("/onboarding").into_response();
    }
    Json(Dashboard { page: "dashboard", user }).into_response()
}
