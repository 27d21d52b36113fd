//! `GET /` and `GET /start`: send a user to the page they belong on.

use axum::{response::Redirect, routing::get};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{AppState, error::ApiError, session::CurrentUser, users};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(start)).route("/start", get(start))
}

/// To the page a user belongs on
#[utoipa::path(get, path = "/", tag = "pages", security(("session" = [])), responses(
    (status = SEE_OTHER, description = "To the onboarding, or to the dashboard."),
    ApiError
))]
async fn start(CurrentUser(user): CurrentUser) -> Redirect {
    Redirect::to(users::home(user.onboarding_completed))
}
