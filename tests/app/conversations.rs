//! Conversations and their messages.

use rehearsal_tests::Database;
use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Service, each};

#[tokio::test]
async fn a_conversation_keeps_its_messages_in_order() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let conversation = browser.create("/conversations", json!({ "title": "Tyres" })).await;
    let path = format!("/conversations/{}", conversation["id"]);
    let messages = format!("{path}/messages");
    let first = browser.create(&messages, json!({ "content": "Soft or hard?" })).await;
    assert_eq!(first["role"], "user");
    browser.create(&messages, json!({ "role": "assistant", "content": "Soft,\nif it stays dry." })).await;
    let list = browser.read(&messages).await;
    assert_eq!(each(&list, "role"), ["user", "assistant"]);
    assert_eq!(list[0], first);
    // A message is news of the conversation as well.
    let now = browser.read(&path).await;
    assert_ne!(now["updated_at"], conversation["updated_at"]);
    assert_eq!(each(&browser.read("/conversations").await, "title"), ["Tyres"]);

    for input in [json!({ "content": " " }), json!({ "role": "system", "content": "x" })] {
        assert_eq!(browser.post(&messages, input).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(browser.delete(&path).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(browser.get(&messages).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM messages").await, 0);
    service.end().await;
}

#[tokio::test]
async fn nobody_reads_or_writes_the_conversations_of_others() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let ada = service.browser_of("ada").await;
    let conversation = ada.create("/conversations", json!({ "title": "Tyres" })).await;
    let path = format!("/conversations/{}", conversation["id"]);
    let messages = format!("{path}/messages");
    let eve = service.browser_of("eve").await;
    assert_eq!(eve.read("/conversations").await, json!([]));
    assert_eq!(eve.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(eve.get(&messages).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(eve.post(&messages, json!({ "content": "x" })).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(eve.delete(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ada.read(&path).await, conversation);
    service.end().await;
}
