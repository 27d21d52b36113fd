//! `GET /` and `GET /start`: send a user to the page they belong on.

use axum::{Router, response::Redirect, routing::get};

use crate::{AppState, session::CurrentUser, users};

pub fn routes() -> Router<AppState> {
    Router::new().route("/", get(start)).route("/start", get(start))
}

async fn start(CurrentUser(user): CurrentUser) -> Redirect {
    Redirect::to(users::home(user.onboarding_completed))
}
