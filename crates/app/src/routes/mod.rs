//! One file a story; each brings its own routes.

mod admin;
mod conversations;
mod courses;
mod dashboard;
mod docs;
mod health;
mod log_in;
mod onboarding;
mod profiles;
mod sign_up;
mod start;
mod tasks;
mod teacher_applications;
mod teachers;
mod tenants;
mod username_availability;
mod vehicles;
mod workshops;

use utoipa_axum::router::OpenApiRouter;

use crate::AppState;

pub use docs::documented;

/// The routes of all files, with their descriptions.
fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(admin::routes())
        .merge(conversations::routes())
        .merge(courses::routes())
        .merge(dashboard::routes())
        .merge(health::routes())
        .merge(log_in::routes())
        .merge(onboarding::routes())
        .merge(profiles::routes())
        .merge(sign_up::routes())
        .merge(start::routes())
        .merge(tasks::routes())
        .merge(teacher_applications::routes())
        .merge(teachers::routes())
        .merge(tenants::routes())
        .merge(username_availability::routes())
        .merge(vehicles::routes())
        .merge(workshops::routes())
}
