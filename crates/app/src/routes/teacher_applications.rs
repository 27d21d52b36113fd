//! `/teacher-applications`: who wants to teach asks here, and whoever holds the
//! application's token sees what became of it, also without a log-in: the token can be put into a
//! mail. An administrator decides (`admin.rs`).

use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    AppState,
    error::ApiError,
    extract::{Json, Path},
    fields::Fields,
    page::PAGE_SIZE,
    session::CurrentUser,
};

#[derive(Serialize, ToSchema)]
struct Application {
    id: i64,
    /// `pending`, `approved` or `rejected`.
    status: String,
    motivation: Option<String>,
    /// Whoever holds it may see the status.
    token: Uuid,
    created_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct Status {
    /// `pending`, `approved` or `rejected`.
    status: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
struct ApplicationInput {
    motivation: Option<String>,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(status))
}

/// One's own applications
#[utoipa::path(get, path = "/teacher-applications", tag = "teaching", security(("session" = [])), responses(
    (status = OK, description = "At most 100, newest first.", body = Vec<Application>),
    ApiError
))]
async fn list(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
) -> Result<Json<Vec<Application>>, ApiError> {
    let applications = sqlx::query_as!(
        Application,
        r#"
        SELECT id, status, motivation, token AS "token!", created_at
        FROM teacher_applications
        WHERE user_id = $1
        ORDER BY id DESC
        LIMIT $2
        "#,
        user.id,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(applications))
}

/// Ask to teach
#[utoipa::path(
    post, path = "/teacher-applications", tag = "teaching", request_body = ApplicationInput,
    security(("session" = [])),
    responses((status = CREATED, description = "The application.", body = Application), ApiError)
)]
async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Json(input): Json<ApplicationInput>,
) -> Result<(StatusCode, Json<Application>), ApiError> {
    let mut fields = Fields::default();
    fields.optional_prose("motivation", input.motivation.as_deref());
    fields.check()?;
    // No row comes back while another one is waiting. Two requests in the same instant may both
    // get through; an administrator then sees both.
    let application = sqlx::query_as!(
        Application,
        r#"
        INSERT INTO teacher_applications (user_id, motivation)
        SELECT $1, $2
        WHERE NOT EXISTS (SELECT FROM teacher_applications WHERE user_id = $1 AND status = 'pending')
        RETURNING id, status, motivation, token AS "token!", created_at
        "#,
        user.id,
        input.motivation,
    )
    .fetch_optional(&state.pool)
    .await?;
    let application = application.ok_or(ApiError::ApplicationPending)?;
    Ok((StatusCode::CREATED, Json(application)))
}

/// What became of an application
#[utoipa::path(
    get, path = "/teacher-applications/{token}", tag = "teaching", params(("token" = Uuid, Path)),
    responses((status = OK, description = "Its status.", body = Status), ApiError)
)]
async fn status(State(state): State<AppState>, Path(token): Path<Uuid>) -> Result<Json<Status>, ApiError> {
    let status = sqlx::query_as!(Status, "SELECT status, created_at FROM teacher_applications WHERE token = $1", token)
        .fetch_optional(&state.pool)
        .await?;
    status.map(Json).ok_or(ApiError::NotFound)
}
