//! What a client is told when a request cannot be answered, and what only the log is told.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{self, ContentBuilder, Ref, RefOr, ResponseBuilder},
};

/// PostgreSQL's `character_not_in_repertoire`: its text cannot hold U+0000.
const NOT_STORABLE: &str = "22021";

/// PostgreSQL's `query_canceled`, by our own limit, and what ends one of two that wait for each other
/// (`deadlock_detected`): a table is locked, or much is going on. The same request may do well in a moment.
const NOT_NOW: [&str; 2] = ["57014", "40P01"];

/// Everything that can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The body is not the JSON that the route expects.
    #[error("{}", .0.body_text())]
    Body(#[from] JsonRejection),
    /// The path holds something else than the id that the route expects.
    #[error("{}", .0.body_text())]
    Path(#[from] PathRejection),
    /// The query string is not what the route expects.
    #[error("{}", .0.body_text())]
    Query(#[from] QueryRejection),
    /// The fields are there, but their contents are not acceptable.
    #[error("some fields need attention")]
    Invalid(Vec<FieldProblem>),
    /// A text holds U+0000, which the database cannot store.
    #[error("text must not hold the character U+0000")]
    NotStorable,
    /// Somebody has signed up with this e-mail address before.
    #[error("this e-mail address is already registered")]
    EmailTaken,
    /// Somebody has this username, perhaps for a moment only.
    #[error("this username is taken")]
    UsernameTaken,
    /// The account is not known or the password is not right; which of them stays unsaid.
    #[error("e-mail address, username or password is not right")]
    WrongCredentials,
    /// The request carries no session of a user.
    #[error("not logged in")]
    NotLoggedIn,
    /// The request does not carry the administrators' token, or there is none.
    #[error("for administrators only")]
    NotAdmin,
    /// Only somebody who teaches may do this.
    #[error("for teachers only")]
    NotTeacher,
    /// There is no such thing, or it is somebody else's; which of them stays unsaid.
    #[error("not found")]
    NotFound,
    /// No route has this path.
    #[error("there is nothing at this address")]
    NoRoute,
    /// The path is a route's, but not with this method.
    #[error("this address does not take that method")]
    NoMethod,
    /// What is asked for belongs to a racing profile, and the user has none yet.
    #[error("there is no profile yet: make one first")]
    NoProfile,
    /// A user has one tenant.
    #[error("you have a tenant already")]
    TenantExists,
    /// A schema of the username is there, or must not be made.
    #[error("no tenant can be made of your username")]
    TenantNameTaken,
    /// One application at a time.
    #[error("an application of yours is waiting already")]
    ApplicationPending,
    /// What was decided stays decided.
    #[error("this application is decided already")]
    ApplicationDecided,
    /// All database connections are busy, or what is asked for is locked for longer than we wait.
    #[error("too busy at the moment, please try again")]
    Busy,
    /// A failure on our side.
    #[error("something went wrong on our side")]
    Internal(#[source] anyhow::Error),
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    pub field: &'static str,
    pub message: &'static str,
}

/// The body of every answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    pub error: String,
    /// Present when single fields are to blame.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(inline)]
    pub fields: Vec<FieldProblem>,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Body(rejection) => rejection.status(),
            Self::Path(rejection) => rejection.status(),
            Self::Query(rejection) => rejection.status(),
            Self::Invalid(_) | Self::NotStorable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::EmailTaken
            | Self::UsernameTaken
            | Self::TenantExists
            | Self::TenantNameTaken
            | Self::ApplicationPending
            | Self::ApplicationDecided => StatusCode::CONFLICT,
            Self::WrongCredentials | Self::NotLoggedIn | Self::NotAdmin => StatusCode::UNAUTHORIZED,
            Self::NotTeacher => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoRoute | Self::NoProfile => StatusCode::NOT_FOUND,
            Self::NoMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(source) = &self {
            tracing::error!(error = format!("{source:#}"), "request failed");
        }
        let (status, error) = (self.status(), self.to_string());
        let fields = if let Self::Invalid(problems) = self { problems } else { Vec::new() };
        (status, Json(ErrorBody { error, fields })).into_response()
    }
}

/// For the API's description: one shape, whatever the status.
impl IntoResponses for ApiError {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let schema = Ref::from_schema_name(ErrorBody::name());
        let response = ResponseBuilder::new()
            .description("The request could not be answered; the body says why.")
            .content("application/json", ContentBuilder::new().schema(Some(schema)).build())
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|refused| refused.code());
        match (&error, code.as_deref()) {
            (sqlx::Error::PoolTimedOut, _) => Self::Busy,
            (_, Some(NOT_STORABLE)) => Self::NotStorable,
            (_, Some(code)) if NOT_NOW.contains(&code) => Self::Busy,
            _ => Self::Internal(error.into()),
        }
    }
}

impl From<tower_sessions::session::Error> for ApiError {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::Internal(error.into())
    }
}
