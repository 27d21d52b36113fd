//! `/tenants`: a user's own corner of the database, a schema of their username.

use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use rehearsal::postgres::identifier::quote;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    config::Config,
    error::ApiError,
    extract::Json,
    session::CurrentUser,
    usernames::{self, Objection},
};

/// PostgreSQL's `duplicate_schema`.
const DUPLICATE_SCHEMA: &str = "42P06";

#[derive(Serialize, ToSchema)]
struct Tenant {
    id: i64,
    /// The owner's username, and the name of the schema.
    name: String,
    subdomain: String,
    created_at: DateTime<Utc>,
}

/// What the database knows of a tenant.
struct Row {
    id: i64,
    name: String,
    created_at: DateTime<Utc>,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(mine))
}

/// Create one's tenant
#[utoipa::path(post, path = "/tenants", tag = "tenants", security(("session" = [])), responses(
    (status = CREATED, description = "The new tenant.", body = Tenant),
    ApiError
))]
async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
) -> Result<(StatusCode, Json<Tenant>), ApiError> {
    // The list of reserved names grows: the account may be older than an entry.
    if usernames::objection(&state.pool, &user.username).await? == Some(Objection::Reserved) {
        return Err(ApiError::TenantNameTaken);
    }
    let mut transaction = state.pool.begin().await?;
    let row = sqlx::query_as!(
        Row,
        "
        INSERT INTO tenants (owner_id, name)
        VALUES ($1, $2)
        ON CONFLICT DO NOTHING
        RETURNING id, name, created_at
        ",
        user.id,
        user.username,
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(ApiError::TenantExists)?;

    let statement = format!("CREATE SCHEMA {}", quote(&row.name));
    // A name cannot be bound as a value; quoted, it is a name and nothing else.
    match sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DUPLICATE_SCHEMA) => {
            return Err(ApiError::TenantNameTaken);
        }
        created => created?,
    };
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(Tenant::new(row, &state.config))))
}

/// One's own tenant
#[utoipa::path(get, path = "/tenants/mine", tag = "tenants", security(("session" = [])), responses(
    (status = OK, description = "The tenant.", body = Tenant),
    ApiError
))]
async fn mine(State(state): State<AppState>, CurrentUser(user): CurrentUser) -> Result<Json<Tenant>, ApiError> {
    let row = sqlx::query_as!(Row, "SELECT id, name, created_at FROM tenants WHERE owner_id = $1", user.id)
        .fetch_optional(&state.pool)
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(Json(Tenant::new(row, &state.config)))
}

impl Tenant {
    fn new(row: Row, config: &Config) -> Self {
        Self { id: row.id, subdomain: config.subdomain(&row.name), name: row.name, created_at: row.created_at }
    }
}
