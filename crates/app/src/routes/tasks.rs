//! `/tasks`: what a user has to do. Nobody sees the tasks of others.

use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
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
struct Task {
    id: i64,
    title: String,
    description: Option<String>,
    completed: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// What a user says about a task. It is the whole of it: what is left out is emptied.
#[derive(Deserialize, ToSchema)]
struct TaskInput {
    title: String,
    description: Option<String>,
    #[serde(default)]
    completed: bool,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace, delete))
}

/// One's own tasks
#[utoipa::path(get, path = "/tasks", tag = "tasks", params(Page), security(("session" = [])), responses(
    (status = OK, description = "A page of them, oldest first.", body = Vec<Task>),
    ApiError
))]
async fn list(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Task>>, ApiError> {
    let tasks = sqlx::query_as!(
        Task,
        "
        SELECT id, title, description, completed, created_at, updated_at
        FROM tasks
        WHERE user_id = $1 AND id > $2
        ORDER BY id
        LIMIT $3
        ",
        user.id,
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(tasks))
}

/// Add a task
#[utoipa::path(post, path = "/tasks", tag = "tasks", request_body = TaskInput, security(("session" = [])), responses(
    (status = CREATED, description = "The new task.", body = Task),
    ApiError
))]
async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Json(input): Json<TaskInput>,
) -> Result<(StatusCode, Json<Task>), ApiError> {
    input.check()?;
    let task = sqlx::query_as!(
        Task,
        "
        INSERT INTO tasks (user_id, title, description, completed)
        VALUES ($1, $2, $3, $4)
        RETURNING id, title, description, completed, created_at, updated_at
        ",
        user.id,
        input.title,
        input.description,
        input.completed,
    )
    .fetch_one(&state.pool)
    .await?;
    Ok((StatusCode::CREATED, Json(task)))
}

/// One task
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = OK, description = "The task.", body = Task),
    ApiError
))]
async fn show(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Result<Json<Task>, ApiError> {
    let task = sqlx::query_as!(
        Task,
        "
        SELECT id, title, description, completed, created_at, updated_at
        FROM tasks
        WHERE id = $1 AND user_id = $2
        ",
        id,
        user.id,
    )
    .fetch_optional(&state.pool)
    .await?;
    task.map(Json).ok_or(ApiError::NotFound)
}

/// Change a task
#[utoipa::path(
    put, path = "/tasks/{id}", tag = "tasks", params(("id" = i64, Path)), request_body = TaskInput,
    security(("session" = [])), responses((status = OK, description = "The task, as it is now.", body = Task), ApiError)
)]
async fn replace(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
    Json(input): Json<TaskInput>,
) -> Result<Json<Task>, ApiError> {
    input.check()?;
    let task = sqlx::query_as!(
        Task,
        "
        UPDATE tasks
        SET title = $3, description = $4, completed = $5, updated_at = now()
        WHERE id = $1 AND user_id = $2
        RETURNING id, title, description, completed, created_at, updated_at
        ",
        id,
        user.id,
        input.title,
        input.description,
        input.completed,
    )
    .fetch_optional(&state.pool)
    .await?;
    task.map(Json).ok_or(ApiError::NotFound)
}

/// Delete a task
#[utoipa::path(delete, path = "/tasks/{id}", tag = "tasks", params(("id" = i64, Path)), security(("session" = [])), responses(
    (status = NO_CONTENT, description = "It is gone."),
    ApiError
))]
async fn delete(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiError> {
    let deleted =
        sqlx::query!("DELETE FROM tasks WHERE id = $1 AND user_id = $2", id, user.id).execute(&state.pool).await?;
    if deleted.rows_affected() == 0 { Err(ApiError::NotFound) } else { Ok(StatusCode::NO_CONTENT) }
}

impl TaskInput {
    fn check(&self) -> Result<(), ApiError> {
        let mut fields = Fields::default();
        fields.line("title", &self.title);
        fields.optional_prose("description", self.description.as_deref());
        fields.check()
    }
}
