//! `GET /onboarding` shows what is to be done, `POST /onboarding` completes it. Whoever has
//! completed it is sent on.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::json;

use crate::{AppState, error::ApiError, session::CurrentUser, users};

pub fn routes() -> Router<AppState> {
    Router::new().route("/onboarding", get(show).post(complete))
}

async fn show(CurrentUser(user): CurrentUser) -> Response {
    if user.onboarding_completed {
        return Redirect::to("/dashboard").into_response();
    }
    Json(json!({ "page": "onboarding", "user": user })).into_response()
}

async fn complete(State(state): State<AppState>, CurrentUser(user): CurrentUser) -> Result<Redirect, ApiError> {
    users::complete_onboarding(&state.pool, user.id).await?;
    Ok(Redirect::to("/dashboard"))
}
