//! `POST /sign-up`: a new account. Its onboarding is open; logging in is a step of its own.

use axum::{
    Json, Router,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    routing::post,
};
use serde::Deserialize;

use crate::{
    AppState,
    error::{ApiError, FieldProblem},
    users::{self, User},
};

#[derive(Deserialize)]
struct SignUp {
    email: String,
    name: Option<String>,
    password: String,
}

pub fn routes() -> Router<AppState> {
    Router::new().route("/sign-up", post(sign_up))
}

async fn sign_up(
    State(state): State<AppState>,
    body: Result<Json<SignUp>, JsonRejection>,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let Json(input) = body?;
    let problems = input.problems();
    if !problems.is_empty() {
        return Err(ApiError::Invalid(problems));
    }
    let hashed = state.passwords.hash(input.password).await;
    let hashed = hashed.map_err(ApiError::Internal)?;
    let user = users::insert(&state.pool, &input.email, input.name.as_deref(), &hashed).await?;
    let user = user.ok_or(ApiError::EmailTaken)?;
    Ok((StatusCode::CREATED, Json(user)))
}

impl SignUp {
    fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, field, message| {
            if !holds {
                problems.push(FieldProblem { field, message });
            }
        };
        require(is_email(&self.email), "email", "must be an e-mail address of at most 254 characters");
        require(
            self.name.as_deref().is_none_or(is_name),
            "name",
            "must be at most 200 characters, none of them a control character",
        );
        // The upper bound is in bytes, because it bounds the work of hashing.
        require(
            self.password.chars().count() >= 8 && self.password.len() <= 256,
            "password",
            "must be at least 8 characters and at most 256 bytes",
        );
        problems
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

fn is_name(text: &str) -> bool {
    text.chars().count() <= 200 && !text.chars().any(char::is_control)
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
        let input = SignUp { email: "ada".to_owned(), name: Some("\0".to_owned()), password: "short".to_owned() };
        let fields: Vec<_> = input.problems().iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["email", "name", "password"]);
    }
}
