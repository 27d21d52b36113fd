//! Signing up, choosing a username, logging in by both names.

use rehearsal_tests::Database;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::service::{PASSWORD, Service, body};

/// Runbook R1: sign-up answers 201 with the user. Runbook R4: with the username.
#[tokio::test]
async fn signing_up_answers_with_the_user() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let user = service.browser().sign_up("ada").await;
    assert_eq!((&user["email"], &user["username"]), (&"ada@example.com".into(), &"ada".into()));
    assert_eq!((&user["name"], &user["email_verified"], &user["image"]), (&"New".into(), &false.into(), &Value::Null));
    assert!(user.get("hashed_password").is_none() && user.get("password").is_none(), "{user}");
    let stored: String = database.value(r#"SELECT hashed_password FROM "user" WHERE username = 'ada'"#).await;
    assert!(stored.starts_with("$argon2id$"), "{stored}");
    service.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_sign_up_is_told_at_once() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    let answer = browser.post("/sign-up", json!({ "email": "nobody", "username": "a b", "password": "short" })).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problems = body(answer).await;
    let fields: Vec<_> = problems["fields"].as_array().expect("a list").iter().map(|one| &one["field"]).collect();
    assert_eq!(fields, ["email", "username", "password"]);

    // Not without a username, and not with a body that is no JSON; the answer is JSON nevertheless.
    let answer = browser.post("/sign-up", json!({ "email": "ada@example.com", "password": PASSWORD })).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body(answer).await["error"].as_str().is_some_and(|error| error.contains("username")));

    browser.sign_up("ada").await;
    for (email, username) in [("ada@example.com", "other"), ("other@example.com", "ada")] {
        let taken = json!({ "email": email, "username": username, "password": PASSWORD });
        assert_eq!(browser.post("/sign-up", taken).await.status(), StatusCode::CONFLICT, "{email} {username}");
    }
    let unstorable = json!({ "email": "eve@example.com", "username": "eve\0", "password": PASSWORD });
    assert_eq!(browser.post("/sign-up", unstorable).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(database.value::<i64>(r#"SELECT count(*) FROM "user""#).await, 1);
    service.end().await;
}

/// Two people who choose one name in the same moment: the one gets it, the other is told.
#[tokio::test]
async fn a_username_is_given_once() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    let attempts = (0..6).map(|n| {
        let email = format!("person{n}@example.com");
        browser.post("/sign-up", json!({ "email": email, "username": "racer", "password": PASSWORD }))
    });
    let mut created = 0;
    for answer in futures_util::future::join_all(attempts).await {
        match answer.status() {
            StatusCode::CREATED => created += 1,
            status => assert_eq!(status, StatusCode::CONFLICT),
        }
    }
    assert_eq!(created, 1);
    service.end().await;
}

/// Runbook R4: the availability check answers `{username, available, message, subdomain_preview}`.
#[tokio::test]
async fn availability_is_told_with_the_subdomain() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    browser.sign_up("taken").await;
    let ask = async |username: &str| browser.read(&format!("/username-availability?username={username}")).await;

    let free = ask("max-power-9").await;
    assert_eq!(
        free,
        json!({
            "username": "max-power-9",
            "available": true,
            "message": "This username is available.",
            "subdomain_preview": "max-power-9.example.com",
        })
    );
    let taken = ask("taken").await;
    assert_eq!((&taken["available"], &taken["message"]), (&false.into(), &"This username is taken.".into()));
    assert_eq!(taken["subdomain_preview"], "taken.example.com");
    for (username, word) in [
        ("ab", "characters long"),
        ("a-name-of-thirty-one-characters", "characters long"),
        ("Upper", "a to z"),
        ("under_score", "a to z"),
        ("-first", "a to z"),
        ("m%C3%BCnchen", "a to z"),
        ("admin", "reserved"),
        ("public", "reserved"),
        ("rehearsal", "reserved"),
        ("aside", "reserved"),
    ] {
        let answer = ask(username).await;
        assert_eq!((&answer["available"], &answer["subdomain_preview"]), (&false.into(), &Value::Null), "{username}");
        assert!(answer["message"].as_str().is_some_and(|message| message.contains(word)), "{answer}");
        let input = json!({ "email": "x@example.com", "username": answer["username"], "password": PASSWORD });
        let refused = browser.post("/sign-up", input).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{username}");
    }
    assert_eq!(browser.get("/username-availability").await.status(), StatusCode::BAD_REQUEST);
    service.end().await;
}

/// Runbook R4: log-in by username *and* by e-mail.
#[tokio::test]
async fn both_names_log_in() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    service.browser().sign_up("ada").await;
    for (key, name) in [("email", "ada@example.com"), ("username", "ada"), ("username", "Ada")] {
        let browser = service.browser();
        let answer = browser.post("/log-in", json!({ (key): name, "password": PASSWORD })).await;
        assert_eq!(answer.status(), StatusCode::OK, "{key} {name}");
        assert_eq!(browser.read("/onboarding").await["user"]["username"], "ada");
    }
    let both = json!({ "email": "ada@example.com", "username": "ada", "password": PASSWORD });
    for input in [both, json!({ "password": PASSWORD })] {
        let answer = service.browser().post("/log-in", input).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    service.end().await;
}

#[tokio::test]
async fn who_is_not_who_they_say_gets_nowhere() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let stranger = service.browser();
    for path in [
        "/",
        "/start",
        "/dashboard",
        "/onboarding",
        "/tasks",
        "/tasks/1",
        "/conversations",
        "/conversations/1/messages",
        "/profiles",
        "/profiles/current",
        "/vehicles",
        "/teacher-applications",
        "/tenants/mine",
        "/admin/teacher-applications",
    ] {
        assert_eq!(stranger.get(path).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    service.browser_of("ada").await;
    for (key, name, password) in [
        ("email", "ada@example.com", "not the password"),
        ("username", "ada", "not the password"),
        ("email", "nobody@example.com", PASSWORD),
        ("email", "ADA@example.com", PASSWORD),
        ("email", "ada@example.com\0", PASSWORD),
        ("username", "ada\0", PASSWORD),
        // The one name in place of the other.
        ("email", "ada", PASSWORD),
        ("username", "ada@example.com", PASSWORD),
    ] {
        let answer = stranger.post("/log-in", json!({ (key): name, "password": password })).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{key} {name}");
    }
    assert_eq!(stranger.get("/dashboard").await.status(), StatusCode::UNAUTHORIZED);
    // A cookie that the service has not signed.
    let forged = stranger.request(reqwest::Method::GET, "/dashboard").header("cookie", "id=AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(forged.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    service.end().await;
}

/// Runbook R1: a password is no longer a must. Who has none cannot log in with any.
#[tokio::test]
async fn an_account_without_a_password_has_no_password_log_in() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser();
    browser.sign_up("ada").await;
    database.execute(r#"UPDATE "user" SET hashed_password = NULL"#).await;
    for password in [PASSWORD, "", "decoy"] {
        let answer = browser.post("/log-in", json!({ "username": "ada", "password": password })).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{password}");
    }
    service.end().await;
}
