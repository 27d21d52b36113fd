//! One file a story; each brings its own routes.

mod dashboard;
mod health;
mod log_in;
mod onboarding;
mod sign_up;
mod start;

use axum::Router;

use crate::AppState;

/// The routes of all files.
pub fn all() -> Router<AppState> {
    Router::new()
        .merge(dashboard::routes())
        .merge(health::routes())
        .merge(log_in::routes())
        .merge(onboarding::routes())
        .merge(sign_up::routes())
        .merge(start::routes())
}
