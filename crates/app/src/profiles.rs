//! The names a user races under, and which of them a session races under now: the one it was
//! switched to, else the user's default.
//!
//! That the first profile of a user is the default, and that there is exactly one, is seen to by
//! the database, for every program that writes to it.

use anyhow::anyhow;
use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use tower_sessions::Session;
use utoipa::ToSchema;

use crate::{AppState, error::ApiError, page::PAGE_SIZE, session::CurrentUser};

const PROFILE_ID: &str = "profile_id";

/// A name that a user races under.
#[derive(Serialize, ToSchema)]
pub struct Profile {
    pub id: i64,
    pub display_name: String,
    pub is_default: bool,
    pub created_at: DateTime<Utc>,
}

/// The profile that the session is on; answered 404 as long as the user has none.
pub struct CurrentProfile(pub Profile);

impl<S> FromRequestParts<S> for CurrentProfile
where
    AppState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, state).await?;
        let session = Session::from_request_parts(parts, state)
            .await
            .map_err(|(_, message)| ApiError::Internal(anyhow!(message)))?;
        let chosen: Option<i64> = session.get(PROFILE_ID).await?;
        // One that is gone meanwhile, or belongs to somebody else, falls back to the default. Where
        // no default is written yet, the first profile is it.
        let profile = sqlx::query_as!(
            Profile,
            "
            SELECT id, display_name, is_default, created_at
            FROM racer_profiles
            WHERE owner_id = $1
            ORDER BY (id = $2) IS TRUE DESC, is_default DESC, created_at, id
            LIMIT 1
            ",
            user.id,
            chosen,
        )
        .fetch_optional(&AppState::from_ref(state).pool)
        .await?;
        profile.map(Self).ok_or(ApiError::NoProfile)
    }
}

/// Puts the session on a profile.
pub async fn switch(session: &Session, profile: &Profile) -> Result<(), ApiError> {
    Ok(session.insert(PROFILE_ID, profile.id).await?)
}

/// A user's profiles, the default first.
pub async fn of(pool: &PgPool, owner_id: i64) -> sqlx::Result<Vec<Profile>> {
    sqlx::query_as!(
        Profile,
        "
        SELECT id, display_name, is_default, created_at
        FROM racer_profiles
        WHERE owner_id = $1
        ORDER BY is_default DESC, created_at, id
        LIMIT $2
        ",
        owner_id,
        PAGE_SIZE,
    )
    .fetch_all(pool)
    .await
}

/// One of a user's profiles.
pub async fn by_id(pool: &PgPool, owner_id: i64, id: i64) -> sqlx::Result<Option<Profile>> {
    sqlx::query_as!(
        Profile,
        "SELECT id, display_name, is_default, created_at FROM racer_profiles WHERE id = $1 AND owner_id = $2",
        id,
        owner_id,
    )
    .fetch_optional(pool)
    .await
}

/// Adds a profile.
pub async fn insert(pool: &PgPool, owner_id: i64, display_name: &str) -> sqlx::Result<Profile> {
    sqlx::query_as!(
        Profile,
        "
        INSERT INTO racer_profiles (owner_id, display_name)
        VALUES ($1, $2)
        RETURNING id, display_name, is_default, created_at
        ",
        owner_id,
        display_name,
    )
    .fetch_one(pool)
    .await
}

/// Makes a profile the user's default, or nothing if it is not theirs.
pub async fn set_default(pool: &PgPool, owner_id: i64, id: i64) -> sqlx::Result<Option<Profile>> {
    let mut transaction = pool.begin().await?;
    // Two such requests at once come one after the other: the unique index would stop one of them.
    sqlx::query!(r#"SELECT id FROM "user" WHERE id = $1 FOR NO KEY UPDATE"#, owner_id)
        .fetch_optional(&mut *transaction)
        .await?;
    sqlx::query!(
        "UPDATE racer_profiles SET is_default = false WHERE owner_id = $1 AND is_default AND id <> $2",
        owner_id,
        id
    )
    .execute(&mut *transaction)
    .await?;
    let profile = sqlx::query_as!(
        Profile,
        "
        UPDATE racer_profiles
        SET is_default = true
        WHERE id = $2 AND owner_id = $1
        RETURNING id, display_name, is_default, created_at
        ",
        owner_id,
        id,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if profile.is_some() {
        transaction.commit().await?;
    }
    Ok(profile)
}
