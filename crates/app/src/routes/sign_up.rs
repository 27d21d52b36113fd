//! `POST /sign-up`: a new account. Its onboarding is open; logging in is a step of its own.

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::Json,
    fields::Fields,
    usernames::{self, Objection},
    users::{self, User},
};

#[derive(Deserialize, ToSchema)]
struct SignUp {
    email: String,
    username: String,
    name: Option<String>,
    password: String,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(sign_up))
}

/// Sign up
#[utoipa::path(post, path = "/sign-up", tag = "accounts", request_body = SignUp, responses(
    (status = CREATED, description = "The new user.", body = User),
    ApiError
))]
async fn sign_up(
    State(state): State<AppState>,
    Json(input): Json<SignUp>,
) -> Result<(StatusCode, Json<User>), ApiError> {
    input.check(usernames::objection(&state.pool, &input.username).await?)?;
    let hashed = state.passwords.hash(input.password).await;
    let hashed = hashed.map_err(ApiError::Internal)?;
    let user = users::insert(&state.pool, &input.email, &input.username, input.name.as_deref(), &hashed).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

impl SignUp {
    fn check(&self, objection: Option<Objection>) -> Result<(), ApiError> {
        let mut fields = Fields::default();
        fields.require(is_email(&self.email), "email", "must be an e-mail address of at most 254 characters");
        // A name that is taken is well-formed: it has an answer of its own, as the address has.
        if let Some(objection) = objection.filter(|objection| *objection != Objection::Taken) {
            fields.require(false, "username", objection.message());
        }
        fields.optional_line("name", self.name.as_deref());
        // The upper bound is in bytes, because it bounds the work of hashing.
        fields.require(
            self.password.chars().count() >= 8 && self.password.len() <= 256,
            "password",
            "must be at least 8 characters and at most 256 bytes",
        );
        fields.check()
    }
}

/// Shape only: whether an address exists is known when a mail arrives.
fn is_email(text: &str) -> bool {
    let (local, domain) = text.rsplit_once('@').unwrap_or_default();
    !local.is_empty()
        && !domain.is_empty()
        && text.chars().count() <= 254
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_by_their_shape() {
        for good in ["a@b", "ada+races@example.com", "美咲@bücher.example", "A@B@example.com"] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(254));
        for bad in ["", "ada", "@example.com", "ada@", "a da@b", "a@b\0", "a\n@b", &long] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_problem_is_told() {
        let input = SignUp {
            email: "ada".to_owned(),
            username: "A".to_owned(),
            name: Some("\0".to_owned()),
            password: "short".to_owned(),
        };
        let Err(ApiError::Invalid(problems)) = input.check(Some(Objection::Length)) else {
            panic!("nothing of it is right")
        };
        let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["email", "username", "name", "password"]);
    }
}
