//! What a client is told when a request cannot be answered, and what only the log is told.

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

/// Everything that can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The body is not the JSON that the route expects.
    #[error(transparent)]
    Body(#[from] JsonRejection),
    /// The fields are there, but their contents are not acceptable.
    #[error("some fields need attention")]
    Invalid(Vec<FieldProblem>),
    /// Somebody has signed up with this e-mail address before.
    #[error("this e-mail address is already registered")]
    EmailTaken,
    /// The address is not known or the password is not right; which of them stays unsaid.
    #[error("e-mail address or password is not right")]
    WrongCredentials,
    /// The request carries no session of a user.
    #[error("not logged in")]
    NotLoggedIn,
    /// All database connections are busy.
    #[error("too busy at the moment, please try again")]
    Busy,
    /// A failure on our side.
    #[error("something went wrong on our side")]
    Internal(#[source] anyhow::Error),
}

/// What is wrong with one field.
#[derive(Debug, Serialize)]
pub struct FieldProblem {
    pub field: &'static str,
    pub message: &'static str,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Body(rejection) => rejection.status(),
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::EmailTaken => StatusCode::CONFLICT,
            Self::WrongCredentials | Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = match &self {
            Self::Body(rejection) => json!({ "error": rejection.body_text() }),
            Self::Invalid(problems) => json!({ "error": self.to_string(), "fields": problems }),
            Self::Internal(source) => {
                tracing::error!(error = format!("{source:#}"), "request failed");
                json!({ "error": self.to_string() })
            }
            _ => json!({ "error": self.to_string() }),
        };
        (self.status(), Json(body)).into_response()
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            error => Self::Internal(error.into()),
        }
    }
}

impl From<tower_sessions::session::Error> for ApiError {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::Internal(error.into())
    }
}
