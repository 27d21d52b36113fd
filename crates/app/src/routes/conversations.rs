//! `/conversations`: a user's talks, and the messages in them. Nobody sees those of others.

use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AppState,
    error::ApiError,
    extract::{Json, Path, Query},
    fields::Fields,
    page::{PAGE_SIZE, Page},
    session::CurrentUser,
};

#[derive(Serialize, ToSchema)]
struct Conversation {
    id: i64,
    title: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
struct ConversationInput {
    title: String,
}

#[derive(Serialize, ToSchema)]
struct Message {
    id: i64,
    #[schema(value_type = Role)]
    role: String,
    content: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize, ToSchema)]
struct MessageInput {
    #[serde(default)]
    role: Role,
    content: String,
}

/// Whose words a message holds.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    #[default]
    User,
    Assistant,
}

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, delete))
        .routes(routes!(list_messages, add_message))
}

/// One's own conversations
#[utoipa::path(get, path = "/conversations", tag = "conversations", params(Page), security(("session" = [])), responses(
    (status = OK, description = "A page of them, oldest first.", body = Vec<Conversation>),
    ApiError
))]
async fn list(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Conversation>>, ApiError> {
    let conversations = sqlx::query_as!(
        Conversation,
        "
        SELECT id, title, created_at, updated_at
        FROM conversations
        WHERE user_id = $1 AND id > $2
        ORDER BY id
        LIMIT $3
        ",
        user.id,
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(conversations))
}

/// Begin a conversation
#[utoipa::path(
    post, path = "/conversations", tag = "conversations", request_body = ConversationInput, security(("session" = [])),
    responses((status = CREATED, description = "The new conversation.", body = Conversation), ApiError)
)]
async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Json(input): Json<ConversationInput>,
) -> Result<(StatusCode, Json<Conversation>), ApiError> {
    let mut fields = Fields::default();
    fields.line("title", &input.title);
    fields.check()?;
    let conversation = sqlx::query_as!(
        Conversation,
        "
        INSERT INTO conversations (user_id, title)
        VALUES ($1, $2)
        RETURNING id, title, created_at, updated_at
        ",
        user.id,
        input.title,
    )
    .fetch_one(&state.pool)
    .await?;
    Ok((StatusCode::CREATED, Json(conversation)))
}

/// One conversation
#[utoipa::path(
    get, path = "/conversations/{id}", tag = "conversations", params(("id" = i64, Path)), security(("session" = [])),
    responses((status = OK, description = "The conversation, without its messages.", body = Conversation), ApiError)
)]
async fn show(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Result<Json<Conversation>, ApiError> {
    let conversation = sqlx::query_as!(
        Conversation,
        "SELECT id, title, created_at, updated_at FROM conversations WHERE id = $1 AND user_id = $2",
        id,
        user.id,
    )
    .fetch_optional(&state.pool)
    .await?;
    conversation.map(Json).ok_or(ApiError::NotFound)
}

/// Delete a conversation with its messages
#[utoipa::path(
    delete, path = "/conversations/{id}", tag = "conversations", params(("id" = i64, Path)), security(("session" = [])),
    responses((status = NO_CONTENT, description = "It is gone."), ApiError)
)]
async fn delete(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiError> {
    let deleted = sqlx::query!("DELETE FROM conversations WHERE id = $1 AND user_id = $2", id, user.id)
        .execute(&state.pool)
        .await?;
    if deleted.rows_affected() == 0 { Err(ApiError::NotFound) } else { Ok(StatusCode::NO_CONTENT) }
}

/// The messages of a conversation
#[utoipa::path(
    get, path = "/conversations/{id}/messages", tag = "conversations", params(("id" = i64, Path), Page),
    security(("session" = [])),
    responses((status = OK, description = "A page of them, oldest first.", body = Vec<Message>), ApiError)
)]
async fn list_messages(
    state: State<AppState>,
    user: CurrentUser,
    Path(id): Path<i64>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Message>>, ApiError> {
    let pool = state.pool.clone();
    let Json(conversation) = show(state, user, Path(id)).await?;
    let messages = sqlx::query_as!(
        Message,
        "
        SELECT id, role, content, created_at
        FROM messages
        WHERE conversation_id = $1 AND id > $2
        ORDER BY id
        LIMIT $3
        ",
        conversation.id,
        page.after,
        PAGE_SIZE,
    )
    .fetch_all(&pool)
    .await?;
    Ok(Json(messages))
}

/// Add a message
#[utoipa::path(
    post, path = "/conversations/{id}/messages", tag = "conversations", params(("id" = i64, Path)),
    request_body = MessageInput, security(("session" = [])),
    responses((status = CREATED, description = "The new message.", body = Message), ApiError)
)]
async fn add_message(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(id): Path<i64>,
    Json(input): Json<MessageInput>,
) -> Result<(StatusCode, Json<Message>), ApiError> {
    let mut fields = Fields::default();
    fields.prose("content", &input.content);
    fields.check()?;
    // One statement: whose conversation it is, when it was last written to, and the message.
    let message = sqlx::query_as!(
        Message,
        "
        WITH conversation AS (
            UPDATE conversations SET updated_at = now() WHERE id = $1 AND user_id = $2 RETURNING id
        )
        INSERT INTO messages (conversation_id, role, content)
        SELECT id, $3, $4 FROM conversation
        RETURNING id, role, content, created_at
        ",
        id,
        user.id,
        input.role.name(),
        input.content,
    )
    .fetch_optional(&state.pool)
    .await?;
    let message = message.ok_or(ApiError::NotFound)?;
    Ok((StatusCode::CREATED, Json(message)))
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}
