//! `GET /dashboard`: a user's home, once the onboarding is completed.

use axum::{
    Json, Router,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::json;

use crate::{AppState, session::CurrentUser};

pub fn routes() -> Router<AppState> {
    Router::new().route("/dashboard", get(show))
}

async fn show(CurrentUser(user): CurrentUser) -> Response {
    if !user.onboarding_completed {
        return Redirect::to("/onboarding").into_response();
    }
    Json(json!({ "page": "dashboard", "user": user })).into_response()
}
