//! Runbook R3: racing profiles. The first is the default, one is the session's, vehicles follow it.

use rehearsal_tests::Database;
use reqwest::StatusCode;
use serde_json::json;

use crate::service::{Service, body, each};

#[tokio::test]
async fn the_first_profile_is_the_default_and_another_can_become_it() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    assert_eq!(browser.get("/profiles/current").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/vehicles").await.status(), StatusCode::NOT_FOUND);
    let mut ids = Vec::new();
    for (name, is_default) in [("One", true), ("Two", false), ("Three", false)] {
        let profile = browser.create("/profiles", json!({ "display_name": name })).await;
        assert_eq!(profile["is_default"], is_default, "{name}");
        ids.push(profile["id"].clone());
    }
    assert_eq!(each(&browser.read("/profiles").await, "display_name"), ["One", "Two", "Three"]);

    let chosen = body(browser.post(&format!("/profiles/{}/default", ids[2]), json!({})).await).await;
    assert_eq!((&chosen["display_name"], &chosen["is_default"]), (&"Three".into(), &true.into()));
    // It stays chosen, and stands first.
    let again = browser.post(&format!("/profiles/{}/default", ids[2]), json!({})).await;
    assert_eq!(again.status(), StatusCode::OK);
    let list = browser.read("/profiles").await;
    assert_eq!(each(&list, "display_name"), ["Three", "One", "Two"]);
    assert_eq!(each(&list, "is_default"), [true, false, false]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM racer_profiles WHERE is_default").await, 1);
    service.end().await;
}

#[tokio::test]
async fn vehicles_follow_the_profile_that_the_session_is_on() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let one = browser.create("/profiles", json!({ "display_name": "One" })).await;
    let two = browser.create("/profiles", json!({ "display_name": "Two" })).await;
    // The default loads on start.
    assert_eq!(browser.read("/profiles/current").await, one);
    let seven = browser.create("/vehicles", json!({ "make": "Lotus", "model": "Seven", "race_number": "007" })).await;
    assert_eq!((&seven["profile_id"], &seven["race_number"]), (&one["id"], &"007".into()));

    let switched = browser.post(&format!("/profiles/{}/switch", two["id"]), json!({})).await;
    assert_eq!(body(switched).await, two);
    assert_eq!(browser.read("/profiles/current").await, two);
    assert_eq!(browser.read("/vehicles").await, json!([]));
    browser.create("/vehicles", json!({ "make": "Mazda", "model": "MX-5" })).await;
    assert_eq!(each(&browser.read("/vehicles").await, "model"), ["MX-5"]);

    // Another session of the same user is on its own profile.
    let other = service.browser();
    other.post("/log-in", json!({ "username": "ada", "password": crate::service::PASSWORD })).await;
    assert_eq!(each(&other.read("/vehicles").await, "model"), ["Seven"]);
    // To switch is not to choose a default: the next session begins with the default again.
    browser.post("/log-out", json!({})).await;
    browser.post("/log-in", json!({ "username": "ada", "password": crate::service::PASSWORD })).await;
    assert_eq!(browser.read("/profiles/current").await, one);
    // A profile that is gone does not leave the session without one.
    browser.post(&format!("/profiles/{}/switch", two["id"]), json!({})).await;
    database.execute("DELETE FROM racer_profiles WHERE display_name = 'Two'").await;
    assert_eq!(browser.read("/profiles/current").await, one);
    service.end().await;
}

#[tokio::test]
async fn nobody_races_under_the_profiles_of_others() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let ada = service.browser_of("ada").await;
    let profile = ada.create("/profiles", json!({ "display_name": "Ada" })).await;
    ada.create("/vehicles", json!({ "make": "Lotus", "model": "Seven" })).await;
    let eve = service.browser_of("eve").await;
    for what in ["default", "switch"] {
        let answer = eve.post(&format!("/profiles/{}/{what}", profile["id"]), json!({})).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{what}");
    }
    assert_eq!(eve.read("/profiles").await, json!([]));
    assert_eq!(eve.get("/vehicles").await.status(), StatusCode::NOT_FOUND);
    // Who logs in where somebody else was logged in finds nothing of theirs.
    ada.post("/log-in", json!({ "username": "eve", "password": crate::service::PASSWORD })).await;
    assert_eq!(ada.get("/profiles/current").await.status(), StatusCode::NOT_FOUND);
    service.end().await;
}

/// However many requests come at once, there is one default.
#[tokio::test]
async fn there_is_one_default_also_when_requests_race() {
    let database = Database::create().await;
    let service = Service::start(&database).await;
    let browser = service.browser_of("ada").await;
    let made = (0..6).map(|n| browser.create("/profiles", json!({ "display_name": format!("Profile {n}") })));
    let profiles = futures_util::future::join_all(made).await;
    assert_eq!(profiles.iter().filter(|profile| profile["is_default"] == true).count(), 1);
    let chosen = profiles
        .iter()
        .map(async |profile| browser.post(&format!("/profiles/{}/default", profile["id"]), json!({})).await.status());
    for status in futures_util::future::join_all(chosen).await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM racer_profiles WHERE is_default").await, 1);
    service.end().await;
}
