//! Runbook R5, tried by hand there: the teacher, workshop, course, student, admin and application
//! flows.

use rehearsal_tests::Database;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::service::{ADMIN_TOKEN, Browser, Service, body, each};

/// Asks as an administrator.
async fn decide(browser: &Browser, application: &Value, approve: bool) -> Response {
    browser
        .request(Method::POST, &format!("/admin/teacher-applications/{}/decision", application["id"]))
        .bearer_auth(ADMIN_TOKEN)
        .json(&json!({ "approve": approve }))
        .send()
        .await
        .expect("an answer")
}

/// A user who has applied and was approved.
async fn teacher(service: &Service, username: &str) -> Browser {
    let browser = service.browser_of(username).await;
    let application = browser.create("/teacher-applications", json!({ "motivation": "I like to explain" })).await;
    assert_eq!(decide(&browser, &application, true).await.status(), StatusCode::OK);
    browser
}

/// The application flow, and the admin flow.
#[tokio::test]
async fn an_application_is_followed_by_its_token_and_decided_once() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let application = browser.create("/teacher-applications", json!({ "motivation": "I like to explain" })).await;
    assert_eq!(application["status"], "pending");
    let token = application["token"].as_str().expect("a token");
    assert_eq!(browser.post("/teacher-applications", json!({})).await.status(), StatusCode::CONFLICT);

    // Whoever holds the token sees the status, and nothing of the person.
    let stranger = service.browser();
    let path = format!("/teacher-applications/{token}");
    let status = stranger.read(&path).await;
    assert_eq!(status, json!({ "status": "pending", "created_at": application["created_at"] }));
    let unknown = stranger.get("/teacher-applications/00000000-0000-4000-8000-000000000000").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(stranger.get("/teacher-applications/1").await.status(), StatusCode::BAD_REQUEST);

    let waiting = stranger.request(Method::GET, "/admin/teacher-applications").bearer_auth(ADMIN_TOKEN);
    let waiting = body(waiting.send().await.expect("an answer")).await;
    assert_eq!(each(&waiting, "email"), ["ada@example.com"]);
    assert_eq!(body(decide(&stranger, &application, true).await).await["status"], "approved");
    assert_eq!(decide(&stranger, &application, false).await.status(), StatusCode::CONFLICT);
    assert_eq!(decide(&stranger, &json!({ "id": 0 }), true).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(stranger.read(&path).await["status"], "approved");
    assert_eq!(each(&browser.read("/teacher-applications").await, "status"), ["approved"]);
    service.end().await;
}

#[tokio::test]
async fn who_was_turned_down_does_not_teach_and_may_ask_again() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let first = browser.create("/teacher-applications", json!({})).await;
    assert_eq!(body(decide(&browser, &first, false).await).await["status"], "rejected");
    assert_eq!(browser.post("/courses", json!({ "title": "Braking" })).await.status(), StatusCode::FORBIDDEN);
    let second = browser.create("/teacher-applications", json!({})).await;
    assert_ne!(second["token"], first["token"]);
    assert_eq!(each(&browser.read("/teacher-applications").await, "status"), ["pending", "rejected"]);
    assert_eq!(browser.read("/teachers").await, json!([]));
    service.end().await;
}

/// The teacher, course, workshop and student flows.
#[tokio::test]
async fn teachers_teach_and_students_see_what_is_published() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let ada = teacher(&service, "ada").await;
    let student = service.browser_of("student").await;

    let teachers = student.read("/teachers").await;
    assert_eq!(each(&teachers, "username"), ["ada"]);
    let path = format!("/teachers/{}", teachers[0]["id"]);
    assert_eq!(student.read(&path).await, teachers[0]);
    assert_eq!(student.get("/teachers/0").await.status(), StatusCode::NOT_FOUND);

    let course = ada.create("/courses", json!({ "title": "Braking" })).await;
    assert_eq!((&course["published"], &course["teacher_id"]), (&false.into(), &teachers[0]["id"]));
    let path = format!("/courses/{}", course["id"]);
    assert_eq!(student.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(student.read("/courses").await, json!([]));
    let publish = json!({ "title": "Braking late", "published": true });
    assert_eq!(student.put(&path, publish.clone()).await.status(), StatusCode::NOT_FOUND);
    let published = body(ada.put(&path, publish).await).await;
    assert_eq!(student.read(&path).await, published);
    assert_eq!(each(&student.read("/courses").await, "title"), ["Braking late"]);

    let input = json!({ "title": "Wet track", "starts_at": "2027-05-01T09:00:00Z" });
    let workshop = ada.create("/workshops", input.clone()).await;
    assert_eq!(workshop["instructor_id"], teachers[0]["id"]);
    assert_eq!(student.read(&format!("/workshops/{}", workshop["id"])).await, workshop);
    assert_eq!(each(&student.read("/workshops").await, "title"), ["Wet track"]);
    assert_eq!(student.get("/workshops/0").await.status(), StatusCode::NOT_FOUND);
    // Before and behind what can be written down and kept.
    for year in ["-5000", "0000", "+10000", "+262000"] {
        let input = json!({ "title": "Once", "starts_at": format!("{year}-01-01T00:00:00Z") });
        assert_eq!(ada.post("/workshops", input).await.status(), StatusCode::UNPROCESSABLE_ENTITY, "{year}");
    }
    // Students take no place in front of the class.
    assert_eq!(student.post("/workshops", input).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(student.post("/courses", json!({ "title": "Mine" })).await.status(), StatusCode::FORBIDDEN);
    service.end().await;
}

/// Who was an instructor in the old table alone is a teacher after the release.
#[tokio::test]
async fn whoever_has_a_profile_teaches_by_it() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    database
        .execute(
            r#"INSERT INTO accounts_userprofile (user_id, is_teacher, bio, website)
               SELECT id, true, 'Raced in the nineties', 'https://example.com/ada' FROM "user""#,
        )
        .await;
    let teachers = browser.read("/teachers").await;
    assert_eq!(each(&teachers, "bio"), ["Raced in the nineties"]);
    browser.create("/workshops", json!({ "title": "Starts", "starts_at": "2027-05-01T09:00:00+02:00" })).await;
    // The workshop outlives the account of the person who gave it; courses hold it back.
    database.execute(r#"DELETE FROM "user""#).await;
    assert_eq!(each(&browser.read("/workshops").await, "instructor_id"), [&Value::Null]);
    service.end().await;
}

#[tokio::test]
async fn only_administrators_decide() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let application = browser.create("/teacher-applications", json!({})).await;
    let path = format!("/admin/teacher-applications/{}/decision", application["id"]);
    for token in ["", "wrong", &ADMIN_TOKEN[1..], &format!("{ADMIN_TOKEN}x")] {
        let asked = browser.request(Method::POST, &path).bearer_auth(token).json(&json!({ "approve": true }));
        assert_eq!(asked.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED, "{token}");
    }
    assert_eq!(browser.post(&path, json!({ "approve": true })).await.status(), StatusCode::UNAUTHORIZED);
    let asked = browser.request(Method::GET, "/admin/teacher-applications");
    let asked = asked.header("authorization", format!("bearer {ADMIN_TOKEN}"));
    assert_eq!(asked.send().await.expect("an answer").status(), StatusCode::OK);
    service.end().await;
    // Where no token is set, none opens it: an empty one neither.
    let service = Service::start_with(&database, &[("APP_ADMIN_TOKEN", "")]).await;
    for token in ["", ADMIN_TOKEN] {
        let asked = service.browser().request(Method::GET, "/admin/teacher-applications").bearer_auth(token);
        assert_eq!(asked.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    }
    let pending: String = database.value("SELECT status FROM teacher_applications").await;
    assert_eq!(pending, "pending");
    service.end().await;
}
