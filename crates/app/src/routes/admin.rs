//! `/admin/teacher-applications`: who is waiting to teach, and the decision about them.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    admin::Admin,
    error::ApiError,
    extract::{Json, Path, Query},
    page::{PAGE_SIZE, Page},
};

#[derive(Serialize, ToSchema)]
struct Application {
    id: i64,
    user_id: i64,
    email: String,
    motivation: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
struct Decision {
    approve: bool,
}

#[derive(Serialize, ToSchema)]
struct Decided {
    id: i64,
    status: &'static str,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(decide))
}

/// Who is waiting to teach
#[utoipa::path(get, path = "/admin/teacher-applications", tag = "admin", params(Page), security(("admin" = [])), responses(
    (status = OK, description = "A page of them, oldest first.", body = Vec<Application>),
    ApiError
))]
async fn list(
    _: Admin,
    State(state): State<AppState>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Application>>, ApiError> {
    let applications = sqlx::query_as!(
        Application,
        r#"
        SELECT application.id, application.user_id, person.email, application.motivation, application.created_at
        FROM teacher_applications AS application
        JOIN "user" AS person ON person.id = application.user_id
        WHERE application.status = 'pending' AND application.id > $1
        ORDER BY application.id
        LIMIT $2
        "#,
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(applications))
}

/// Decide about an application
#[utoipa::path(
    post, path = "/admin/teacher-applications/{id}/decision", tag = "admin", params(("id" = i64, Path)),
    request_body = Decision, security(("admin" = [])),
    responses((status = OK, description = "What it is now.", body = Decided), ApiError)
)]
async fn decide(
    _: Admin,
    State(state): State<AppState>,
    Path(id): Path<i64>,
    Json(decision): Json<Decision>,
) -> Result<Json<Decided>, ApiError> {
    let status = if decision.approve { "approved" } else { "rejected" };
    let mut transaction = state.pool.begin().await?;
    let application = sqlx::query!("SELECT user_id, status FROM teacher_applications WHERE id = $1 FOR UPDATE", id)
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(ApiError::NotFound)?;
    if application.status != "pending" {
        return Err(ApiError::ApplicationDecided);
    }
    sqlx::query!("UPDATE teacher_applications SET status = $2 WHERE id = $1", id, status)
        .execute(&mut *transaction)
        .await?;
    if decision.approve {
        sqlx::query!(
            "
            INSERT INTO accounts_userprofile (user_id, is_teacher)
            VALUES ($1, true)
            ON CONFLICT (user_id) DO UPDATE SET is_teacher = true
            ",
            application.user_id,
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(Json(Decided { id, status }))
}
