//! `/workshops`: everybody sees when they are; teachers announce theirs.

use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::{Json, Path, Query},
    fields::Fields,
    page::{PAGE_SIZE, Page},
    session::CurrentUser,
};

#[derive(Serialize, ToSchema)]
struct Workshop {
    id: i64,
    /// Nobody, where the workshop has outlived its instructor's account.
    instructor_id: Option<i64>,
    title: String,
    starts_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
struct WorkshopInput {
    title: String,
    starts_at: DateTime<Utc>,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show))
}

/// All workshops
#[utoipa::path(get, path = "/workshops", tag = "teaching", params(Page), responses(
    (status = OK, description = "A page of them, oldest first.", body = Vec<Workshop>),
    ApiError
))]
async fn list(State(state): State<AppState>, Query(page): Query<Page>) -> Result<Json<Vec<Workshop>>, ApiError> {
    let workshops = sqlx::query_as!(
        Workshop,
        "
        SELECT id, instructor_id, title, starts_at, created_at
        FROM workshops
        WHERE id > $1
        ORDER BY id
        LIMIT $2
        ",
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(workshops))
}

/// One workshop
#[utoipa::path(get, path = "/workshops/{id}", tag = "teaching", params(("id" = i64, Path)), responses(
    (status = OK, description = "The workshop.", body = Workshop),
    ApiError
))]
async fn show(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Workshop>, ApiError> {
    let workshop = sqlx::query_as!(
        Workshop,
        "SELECT id, instructor_id, title, starts_at, created_at FROM workshops WHERE id = $1",
        id,
    )
    .fetch_optional(&state.pool)
    .await?;
    workshop.map(Json).ok_or(ApiError::NotFound)
}

/// Announce a workshop
#[utoipa::path(
    post, path = "/workshops", tag = "teaching", request_body = WorkshopInput, security(("session" = [])),
    responses((status = CREATED, description = "The new workshop.", body = Workshop), ApiError)
)]
async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Json(input): Json<WorkshopInput>,
) -> Result<(StatusCode, Json<Workshop>), ApiError> {
    let mut fields = Fields::default();
    fields.line("title", &input.title);
    // What RFC 3339 can write. The type takes years that it cannot, and that PostgreSQL cannot store.
    fields.require((1..=9999).contains(&input.starts_at.year()), "starts_at", "must be in a year from 1 to 9999");
    fields.check()?;
    // No row comes back unless the user teaches.
    let workshop = sqlx::query_as!(
        Workshop,
        "
        INSERT INTO workshops (instructor_id, title, starts_at)
        SELECT user_id, $2, $3 FROM accounts_userprofile WHERE user_id = $1 AND is_teacher
        RETURNING id, instructor_id, title, starts_at, created_at
        ",
        user.id,
        input.title,
        input.starts_at,
    )
    .fetch_optional(&state.pool)
    .await?;
    let workshop = workshop.ok_or(ApiError::NotTeacher)?;
    Ok((StatusCode::CREATED, Json(workshop)))
}
