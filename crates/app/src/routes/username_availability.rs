//! `GET /username-availability?username=…`: asked while somebody types, before they sign up.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::{Json, Query},
    usernames,
};

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    username: String,
}

#[derive(Serialize, ToSchema)]
struct Availability {
    username: String,
    available: bool,
    /// For whoever is asking.
    message: String,
    /// Where the tenant of that name would be; nothing where it could be nobody's name.
    subdomain_preview: Option<String>,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(availability))
}

/// Whether a username can be chosen
#[utoipa::path(get, path = "/username-availability", tag = "accounts", params(Wanted), responses(
    (status = OK, description = "Whether it can, and why not.", body = Availability),
    ApiError
))]
async fn availability(
    State(state): State<AppState>,
    Query(Wanted { username }): Query<Wanted>,
) -> Result<Json<Availability>, ApiError> {
    let objection = usernames::objection(&state.pool, &username).await?;
    let message = match objection {
        Some(objection) => format!("This username {}.", objection.message()),
        None => "This username is available.".to_owned(),
    };
    let is_a_name = matches!(objection, None | Some(usernames::Objection::Taken));
    let subdomain_preview = is_a_name.then(|| state.config.subdomain(&username));
    Ok(Json(Availability { username, available: objection.is_none(), message, subdomain_preview }))
}
