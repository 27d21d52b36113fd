//! `/teachers`: who teaches, for everybody to see.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::{Json, Path, Query},
    page::{PAGE_SIZE, Page},
};

#[derive(Serialize, ToSchema)]
struct Teacher {
    /// The user's id.
    id: i64,
    username: String,
    name: Option<String>,
    bio: Option<String>,
    website: Option<String>,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Who teaches
#[utoipa::path(get, path = "/teachers", tag = "teaching", params(Page), responses(
    (status = OK, description = "A page of them.", body = Vec<Teacher>),
    ApiError
))]
async fn list(State(state): State<AppState>, Query(page): Query<Page>) -> Result<Json<Vec<Teacher>>, ApiError> {
    let teachers = sqlx::query_as!(
        Teacher,
        r#"
        SELECT person.id, person.username, person.name, profile.bio, profile.website
        FROM accounts_userprofile AS profile
        JOIN "user" AS person ON person.id = profile.user_id
        WHERE profile.is_teacher AND profile.user_id > $1
        ORDER BY profile.user_id
        LIMIT $2
        "#,
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(teachers))
}

/// One teacher
#[utoipa::path(get, path = "/teachers/{id}", tag = "teaching", params(("id" = i64, Path)), responses(
    (status = OK, description = "The teacher.", body = Teacher),
    ApiError
))]
async fn show(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Teacher>, ApiError> {
    let teacher = sqlx::query_as!(
        Teacher,
        r#"
        SELECT person.id, person.username, person.name, profile.bio, profile.website
        FROM accounts_userprofile AS profile
        JOIN "user" AS person ON person.id = profile.user_id
        WHERE profile.is_teacher AND profile.user_id = $1
        "#,
        id,
    )
    .fetch_optional(&state.pool)
    .await?;
    teacher.map(Json).ok_or(ApiError::NotFound)
}
