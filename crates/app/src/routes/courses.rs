//! `/courses`: everybody sees the published ones; teachers write theirs and publish them.

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
struct Course {
    id: i64,
    teacher_id: i64,
    title: String,
    published: bool,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
struct CourseInput {
    title: String,
    #[serde(default)]
    published: bool,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace))
}

/// What is taught
#[utoipa::path(get, path = "/courses", tag = "teaching", params(Page), responses(
    (status = OK, description = "A page of the published courses, oldest first.", body = Vec<Course>),
    ApiError
))]
async fn list(State(state): State<AppState>, Query(page): Query<Page>) -> Result<Json<Vec<Course>>, ApiError> {
    let courses = sqlx::query_as!(
        Course,
        "
        SELECT id, teacher_id, title, published, created_at
        FROM courses
        WHERE published AND id > $1
        ORDER BY id
        LIMIT $2
        ",
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(courses))
}

/// One published course
#[utoipa::path(get, path = "/courses/{id}", tag = "teaching", params(("id" = i64, Path)), responses(
    (status = OK, description = "The course.", body = Course),
    ApiError
))]
async fn show(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Course>, ApiError> {
    let course = sqlx::query_as!(
        Course,
        "SELECT id, teacher_id, title, published, created_at FROM courses WHERE id = $1 AND published",
        id,
    )
    .fetch_optional(&state.pool)
    .await?;
    course.map(Json).ok_or(ApiError::NotFound)
}

/// Write a course
#[utoipa::path(
    post, path = "/courses", tag = "teaching", request_body = CourseInput, security(("session" = [])),
    responses((status = CREATED, description = "The new course.", body = Course), ApiError)
)]
async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Json(input): Json<CourseInput>,
) -> Result<(StatusCode, Json<Course>), ApiError> {
    input.check()?;
    // No row comes back unless the user teaches.
    let course = sqlx::query_as!(
        Course,
        "
        INSERT INTO courses (teacher_id, title, published)
        SELECT user_id, $2, $3 FROM accounts_userprofile WHERE user_id = $1 AND is_teacher
        RETURNING id, teacher_id, title, published, created_at
        ",
        user.id,
        input.title,
        input.published,
    )
    .fetch_optional(&state.pool)
    .await?;
    let course = course.ok_or(ApiError::NotTeacher)?;
    Ok((StatusCode::CREATED, Json(course)))
}

/// Change or publish one's own course
#[utoipa::path(
    put, path = "/courses/{id}", tag = "teaching", params(("id" = i64, Path)), request_body = CourseInput,
    security(("session" = [])), responses((status = OK, description = "The course, as it is now.", body = Course), ApiError)
)]
async fn replace(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
    Json(input): Json<CourseInput>,
) -> Result<Json<Course>, ApiError> {
    input.check()?;
    let course = sqlx::query_as!(
        Course,
        "
        UPDATE courses
        SET title = $3, published = $4
        WHERE id = $1 AND teacher_id = $2
        RETURNING id, teacher_id, title, published, created_at
        ",
        id,
        user.id,
        input.title,
        input.published,
    )
    .fetch_optional(&state.pool)
    .await?;
    course.map(Json).ok_or(ApiError::NotFound)
}

impl CourseInput {
    fn check(&self) -> Result<(), ApiError> {
        let mut fields = Fields::default();
        fields.line("title", &self.title);
        fields.check()
    }
}
