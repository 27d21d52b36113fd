//! Tasks: one's own, and nobody else's.

use rehearsal_tests::Database;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::service::{Service, body, each};

#[tokio::test]
async fn a_task_is_made_changed_and_deleted() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let task = browser.create("/tasks", json!({ "title": "Ölwechsel", "description": "both cars" })).await;
    assert_eq!((&task["title"], &task["completed"]), (&"Ölwechsel".into(), &false.into()));
    let path = format!("/tasks/{}", task["id"]);
    assert_eq!(browser.read(&path).await, task);

    let changed = body(browser.put(&path, json!({ "title": "Ölwechsel", "completed": true })).await).await;
    assert_eq!((&changed["completed"], &changed["description"]), (&true.into(), &Value::Null));
    assert_eq!(changed["created_at"], task["created_at"]);
    assert_ne!(changed["updated_at"], task["updated_at"]);

    assert_eq!(browser.delete(&path).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(browser.delete(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(browser.get(&path).await.status(), StatusCode::NOT_FOUND);
    for title in ["", "  ", "two\nlines", &"x".repeat(201)] {
        let answer = browser.post("/tasks", json!({ "title": title })).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{title:?}");
    }
    // What the database cannot store is the request's fault, not ours.
    let answer = browser.post("/tasks", json!({ "title": "x", "description": "\0" })).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    service.end().await;
}

#[tokio::test]
async fn nobody_gets_at_the_tasks_of_others() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let ada = service.browser_of("ada").await;
    let task = ada.create("/tasks", json!({ "title": "secret" })).await;
    let path = format!("/tasks/{}", task["id"]);
    let eve = service.browser_of("eve").await;
    assert_eq!(eve.read("/tasks").await, json!([]));
    assert_eq!(eve.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(eve.put(&path, json!({ "title": "mine" })).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(eve.delete(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ada.read(&path).await, task);
    service.end().await;
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    database
        .execute(r#"INSERT INTO tasks (user_id, title) SELECT id, 'Task ' || n FROM "user", generate_series(1, 250) n"#)
        .await;
    let (mut after, mut sizes) = (json!(0), Vec::new());
    loop {
        let page = browser.read(&format!("/tasks?after={after}")).await;
        let ids = each(&page, "id");
        sizes.push(ids.len());
        match ids.last() {
            Some(last) => after = (*last).clone(),
            None => break,
        }
    }
    assert_eq!(sizes, [100, 100, 50, 0]);
    service.end().await;
}
