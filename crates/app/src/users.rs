//! The accounts: every query that the service makes about them.
//!
//! Where `onboarding_completed` is NULL, the account is older than the column and the backfill
//! has not come to it yet: it is read as completed, which is what the backfill will write. So the
//! same code is right before, during and after the backfill.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

/// A user, as everybody may see them: the password hash is not part of it.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    pub id: i64,
    pub email: String,
    pub name: Option<String>,
    pub onboarding_completed: bool,
    pub created_at: DateTime<Utc>,
}

/// What it takes to check a log-in.
pub struct Credentials {
    pub user_id: i64,
    pub hashed_password: String,
    pub onboarding_completed: bool,
}

/// The page a user belongs on.
pub fn home(onboarding_completed: bool) -> &'static str {
    if onboarding_completed { "/dashboard" } else { "/onboarding" }
}

/// Adds a user, or nothing if the e-mail address is taken. Whether the onboarding is open is left
/// to the column's default.
pub async fn insert(
    pool: &PgPool,
    email: &str,
    name: Option<&str>,
    hashed_password: &str,
) -> sqlx::Result<Option<User>> {
    let inserted = sqlx::query_as!(
        User,
        r#"
        INSERT INTO users (email, name, hashed_password)
        VALUES ($1, $2, $3)
        RETURNING id, email, name, created_at,
            COALESCE(onboarding_completed, true) AS "onboarding_completed!"
        "#,
        email,
        name,
        hashed_password,
    )
    .fetch_one(pool)
    .await;
    match inserted {
        Ok(user) => Ok(Some(user)),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds a user by id.
pub async fn by_id(pool: &PgPool, id: i64) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"
        SELECT id, email, name, created_at,
            COALESCE(onboarding_completed, true) AS "onboarding_completed!"
        FROM users
        WHERE id = $1
        "#,
        id,
    )
    .fetch_optional(pool)
    .await
}

/// Finds what a log-in with this e-mail address has to match.
pub async fn credentials(pool: &PgPool, email: &str) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        r#"
        SELECT id AS user_id, hashed_password,
            COALESCE(onboarding_completed, true) AS "onboarding_completed!"
        FROM users
        WHERE email = $1
        "#,
        email,
    )
    .fetch_optional(pool)
    .await
}

/// Marks a user's onboarding as completed; doing so again changes nothing.
pub async fn complete_onboarding(pool: &PgPool, id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE users
        SET onboarding_completed = true, updated_at = now()
        WHERE id = $1 AND onboarding_completed IS NOT TRUE
        "#,
        id,
    )
    .execute(pool)
    .await?;
    Ok(())
}
