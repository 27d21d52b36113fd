//! `GET /openapi.json` describes every route for programs, `GET /docs` shows that to people.

use axum::{
    Json, Router,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::all;
use crate::{AppState, error::ErrorBody};

/// The page and all that it needs: it must also work where nothing can be fetched from elsewhere.
const PAGE: &str = include_str!("docs.html");

/// The page runs its own script and asks this service, and nobody else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

#[derive(OpenApi)]
#[openapi(
    info(title = "The worked example", description = "Accounts, tasks, conversations, racing and teaching."),
    components(schemas(ErrorBody)),
    modifiers(&Security)
)]
struct Api;

/// How a request says on whose behalf it comes.
struct Security;

impl Modify for Security {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        // The name is the session crate's own.
        let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("id")));
        let admin = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        components.add_security_scheme("session", session);
        components.add_security_scheme("admin", admin);
    }
}

/// All routes, and their description beside them.
pub fn documented() -> Router<AppState> {
    let (router, api) = OpenApiRouter::with_openapi(Api::openapi()).merge(all()).split_for_parts();
    router.route("/openapi.json", get(async move || Json(api))).route("/docs", get(page))
}

async fn page() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)], PAGE)
}
