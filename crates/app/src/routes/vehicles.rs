//! `/vehicles`: those of the profile that the session is on. To see others, switch.

use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::{Json, Query},
    fields::Fields,
    page::{PAGE_SIZE, Page},
    profiles::CurrentProfile,
};

#[derive(Serialize, ToSchema)]
struct Vehicle {
    id: i64,
    profile_id: i64,
    make: String,
    model: String,
    race_number: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
struct VehicleInput {
    make: String,
    model: String,
    /// Painted on the vehicle: 007 is not 7.
    race_number: Option<String>,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create))
}

/// The vehicles of the session's profile
#[utoipa::path(get, path = "/vehicles", tag = "racing", params(Page), security(("session" = [])), responses(
    (status = OK, description = "A page of them, oldest first.", body = Vec<Vehicle>),
    ApiError
))]
async fn list(
    State(state): State<AppState>,
    CurrentProfile(profile): CurrentProfile,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Vehicle>>, ApiError> {
    let vehicles = sqlx::query_as!(
        Vehicle,
        "
        SELECT id, profile_id, make, model, race_number, created_at
        FROM vehicles
        WHERE profile_id = $1 AND id > $2
        ORDER BY id
        LIMIT $3
        ",
        profile.id,
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(vehicles))
}

/// Add a vehicle to the session's profile
#[utoipa::path(
    post, path = "/vehicles", tag = "racing", request_body = VehicleInput, security(("session" = [])),
    responses((status = CREATED, description = "The new vehicle.", body = Vehicle), ApiError)
)]
async fn create(
    State(state): State<AppState>,
    CurrentProfile(profile): CurrentProfile,
    Json(input): Json<VehicleInput>,
) -> Result<(StatusCode, Json<Vehicle>), ApiError> {
    let mut fields = Fields::default();
    fields.line("make", &input.make);
    fields.line("model", &input.model);
    fields.optional_line("race_number", input.race_number.as_deref());
    fields.check()?;
    let vehicle = sqlx::query_as!(
        Vehicle,
        "
        INSERT INTO vehicles (profile_id, make, model, race_number)
        VALUES ($1, $2, $3, $4)
        RETURNING id, profile_id, make, model, race_number, created_at
        ",
        profile.id,
        input.make,
        input.model,
        input.race_number,
    )
    .fetch_one(&state.pool)
    .await?;
    Ok((StatusCode::CREATED, Json(vehicle)))
}
