//! The accounts: every query that the service makes about them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::error::ApiError;

/// The index that keeps usernames unique.
const USERNAME_INDEX: &str = "user_username_key";

/// A user, as they may see themselves: the password hash is not part of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    pub id: i64,
    pub email: String,
    pub username: String,
    pub email_verified: bool,
    pub name: Option<String>,
    /// The address of a picture.
    pub image: Option<String>,
    pub onboarding_completed: bool,
    pub created_at: DateTime<Utc>,
}

/// What it takes to check a log-in.
pub struct Credentials {
    pub user_id: i64,
    /// Who has none cannot log in with a password.
    pub hashed_password: Option<String>,
    pub onboarding_completed: bool,
}

/// The page a user belongs on.
pub fn home(onboarding_completed: bool) -> &'static str {
    if onboarding_completed { "/dashboard" } else { "/onboarding" }
}

/// Adds a user, unless the e-mail address or the username is taken. Whether the onboarding is open
/// is left to the column's default.
pub async fn insert(
    pool: &PgPool,
    email: &str,
    username: &str,
    name: Option<&str>,
    hashed_password: &str,
) -> Result<User, ApiError> {
    let inserted = sqlx::query_as!(
        User,
        r#"
        INSERT INTO "user" (email, username, name, hashed_password)
        VALUES ($1, $2, $3, $4)
        RETURNING id, email, username, "emailVerified" AS email_verified, name, image, onboarding_completed,
            "createdAt" AS created_at
        "#,
        email,
        username,
        name,
        hashed_password,
    )
    .fetch_one(pool)
    .await;
    inserted.map_err(|error| match &error {
        sqlx::Error::Database(refused) if refused.is_unique_violation() => match refused.constraint() {
            Some(USERNAME_INDEX) => ApiError::UsernameTaken,
            _ => ApiError::EmailTaken,
        },
        _ => error.into(),
    })
}

/// Finds a user by id.
pub async fn by_id(pool: &PgPool, id: i64) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"
        SELECT id, email, username, "emailVerified" AS email_verified, name, image, onboarding_completed,
            "createdAt" AS created_at
        FROM "user"
        WHERE id = $1
        "#,
        id,
    )
    .fetch_optional(pool)
    .await
}

/// Finds what a log-in has to match: that of the account with this e-mail address, or else with
/// this username.
pub async fn credentials(
    pool: &PgPool,
    email: Option<&str>,
    username: Option<&str>,
) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        r#"
        SELECT id AS user_id, hashed_password, onboarding_completed
        FROM "user"
        WHERE email = $1 OR username = $2
        "#,
        email,
        username,
    )
    .fetch_optional(pool)
    .await
}

/// Marks a user's onboarding as completed; doing so again changes nothing.
pub async fn complete_onboarding(pool: &PgPool, id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE "user"
        SET onboarding_completed = true, "updatedAt" = now()
        WHERE id = $1 AND NOT onboarding_completed
        "#,
        id,
    )
    .execute(pool)
    .await?;
    Ok(())
}
