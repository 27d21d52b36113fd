//! Who may decide for others: whoever shows the administrators' token. A flag on an account would
//! need an administrator to set it; the token comes from whoever deploys.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header::AUTHORIZATION, request::Parts},
};

use crate::{AppState, error::ApiError};

/// The request carries the token, as `authorization: Bearer TOKEN`; without it it is answered 401.
pub struct Admin;

impl<S> FromRequestParts<S> for Admin
where
    AppState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let state = AppState::from_ref(state);
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        // The scheme's case does not matter: RFC 9110, section 11.1.
        let shown =
            header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        match (shown.map(|(_, token)| token), &state.config.admin_token) {
            (Some(shown), Some(token)) if token.is(shown) => Ok(Self),
            _ => Err(ApiError::NotAdmin),
        }
    }
}
