//! `rehearse`, on generated data and on a copy of a target.

use insta::assert_snapshot;
use rehearsal_tests::{Database, docker, server, words};

use crate::{project, this_workspace};

const THERE_AND_BACK: [&str; 9] = [
    "preflight done",
    "backup done",
    "audit done",
    "migrate done",
    "verify done",
    "rollback done",
    "as-before done",
    "migrate done",
    "verify done",
];

#[tokio::test]
async fn the_newest_release_goes_there_and_back() {
    let project = this_workspace();
    let ended = project.run("rehearse").await;
    ended.must_exit(0);
    assert_eq!(ended.steps(), [&["baseline done"], &THERE_AND_BACK[..]].concat());
    let record = ended.record();
    assert_eq!(record["format"], 1);
    assert_eq!(record["outcome"], "done");
    assert_eq!(record["exit_code"], 0);
    assert_eq!(record["run"]["release"], "R2");
    assert_eq!(record["sandbox"]["provider"], server().provider());
    assert!(ended.summary().starts_with("# ✓ rehearse of R2: done\n"), "{}", ended.summary());
    assert!(!project.path("backups").exists(), "what was only for the rehearsal is gone with it");
    insta::with_settings!({filters => words::filters()}, { assert_snapshot!(ended.stdout) });
}

/// The columns of the record that later gates go by.
#[tokio::test]
async fn the_record_has_the_evidence() {
    let ended = this_workspace().run("rehearse --rows 300").await;
    ended.must_exit(0);
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let migrate = &steps[4];
    let statements: Vec<String> = migrate["statements"]
        .as_array()
        .expect("statements")
        .iter()
        .map(|done| format!("{} {} {}", done["version"], done["class"].as_str().unwrap_or("?"), done["rows"]))
        .collect();
    assert_eq!(statements.iter().filter(|text| text.ends_with(" batched 300")).count(), 1, "{statements:?}");
    assert!(statements.contains(&"4 non-transactional 0".to_owned()), "{statements:?}");
    let checks = steps[5]["checks"].as_array().expect("checks");
    let outcome = |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| check["outcome"].clone());
    assert_eq!(outcome("onboarding-index-used"), Some("passed".into()));
    assert_eq!(outcome("onboarding-none-undecided"), Some("passed".into()));
    assert_eq!(outcome("onboarding-distribution"), Some("reported".into()));
    let backup = &steps[2]["backup"];
    assert!(backup["rows"].as_u64().is_some_and(|rows| rows > 300), "{backup}");
    let durations = steps.iter().all(|step| step["duration_ms"].is_u64() && step["started_at"].is_string());
    assert!(durations, "every step has its start and its duration");
}

#[tokio::test]
async fn rows_says_how_many_the_fixtures_make() {
    let project = this_workspace();
    for rows in [0, 1, 777] {
        let ended = project.run(&format!("rehearse --rows {rows}")).await;
        ended.must_exit(0);
        let record = ended.record();
        let figures = record["steps"][4]["statements"].as_array().expect("statements");
        let filled = figures.iter().find(|done| done["class"] == "batched").expect("the backfill");
        assert_eq!(filled["rows"], rows, "the backfill writes every user once");
    }
}

#[tokio::test]
async fn json_is_all_that_stdout_has() {
    let ended = this_workspace().run("rehearse --rows 50 --json").await;
    ended.must_exit(0);
    let events = ended.events();
    assert_eq!(events.first().map(|event| event["event"].clone()), Some("run-started".into()));
    assert_eq!(events.last().map(|event| event["event"].clone()), Some("run-finished".into()));
    assert!(events.iter().all(|event| event["format"] == 1 && event["at"].is_string()));
    let started = events.iter().filter(|event| event["event"] == "step-started").count();
    let finished = events.iter().filter(|event| event["event"] == "step-finished").count();
    assert_eq!((started, finished), (10, 10));
    ended.must_say("done in");
}

#[tokio::test]
async fn a_target_is_copied_and_only_read() {
    let database = Database::create().await;
    let project = project().items(2_000).on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    // Whoever writes from here on fails.
    database.execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name())).await;
    let before = database.everything().await;
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(0);
    assert_eq!(ended.steps(), [&["backup done", "copy done"], &THERE_AND_BACK[..]].concat());
    assert_eq!(database.everything().await, before);
    assert_eq!(database.value::<i64>("SELECT sum(n) FROM items").await, 0);
    assert_eq!(project.names_in("backups/dev").len(), 1, "the target's backup stays");
}

#[tokio::test]
async fn a_target_with_nothing_pending_needs_no_rehearsal() {
    let database = Database::create().await;
    let project = project().migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;").on(&database);
    project.run("migrate").await.must_exit(0);
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(0).must_say("nothing to do, at version 1");
    assert!(!project.path("backups").exists(), "no backup is made for nothing");
}

#[tokio::test]
async fn a_down_file_that_forgets_something_is_found() {
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int); INSERT INTO a VALUES (1);", "DROP TABLE a;")
        .migration("2_b", "ALTER TABLE a ADD COLUMN b int; UPDATE a SET id = 2;", "ALTER TABLE a DROP COLUMN b;");
    let ended = project.run("rehearse").await;
    ended.must_exit(3).must_say("public.a has as many rows, but not the same values");
    let project =
        project.migration("2_b", "ALTER TABLE a ADD COLUMN b int; CREATE INDEX ab ON a (b, id);", "SELECT 1;");
    let ended = project.run("rehearse").await;
    ended.must_exit(3);
    insta::with_settings!({filters => words::filters()}, { assert_snapshot!(ended.error().0) });
}

/// No row shows it: the next key that is given out is there already.
#[tokio::test]
async fn a_way_back_that_resets_a_sequence_is_found() {
    let project = project()
        .migration(
            "1_a",
            "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY, n int); INSERT INTO a (n) SELECT generate_series(1, 3);",
            "DROP TABLE a;",
        )
        .migration("2_b", "INSERT INTO a (n) VALUES (4);", "DELETE FROM a WHERE n = 4;");
    // One that has moved on is as before.
    project.run("rehearse").await.must_exit(0);
    let project = project.migration(
        "2_b",
        "INSERT INTO a (n) VALUES (4);",
        "DELETE FROM a WHERE n = 4; ALTER TABLE a ALTER id RESTART;",
    );
    project
        .run("rehearse")
        .await
        .must_exit(3)
        .must_say("the sequence public.a_id_seq stood at 3 and stands at 1 (not given yet)");
}

#[tokio::test]
async fn in_a_container() {
    if !docker::is_usable("in_a_container").await {
        return;
    }
    let database = Database::create().await;
    let project = project().items(500).on(&database);
    let ended = project.run("rehearse --provider docker").await;
    ended.must_exit(0);
    assert_eq!(ended.record()["sandbox"]["provider"], "docker");
    // Without --provider, an engine that answers comes first.
    let ended = project.variable("REHEARSAL_PROVIDER", "auto").run("rehearse").await;
    ended.must_exit(0);
    assert_eq!(ended.record()["sandbox"]["provider"], "docker");
}

#[tokio::test]
async fn auto_falls_through_to_what_is_here_and_says_why() {
    if server().provider() != "local" {
        docker::skipped("auto_falls_through_to_what_is_here_and_says_why", "the local provider is not under test");
        return;
    }
    let project = project()
        .migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;")
        .variable("REHEARSAL_PROVIDER", "auto")
        .variable("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let ended = project.run("rehearse").await;
    ended.must_exit(0).must_say("not docker: no container engine answers");
    assert_eq!(ended.record()["sandbox"]["provider"], "local");
    let ended = project.run("rehearse --provider docker").await;
    ended.must_exit(2);
    assert!(ended.error().1.contains("--provider local"), "{}", ended.text());
}

/// Its ports are published on its own loopback interface, and it mounts its own folders.
#[tokio::test]
async fn an_engine_of_another_machine_is_not_used() {
    let project = project().migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;");
    for host in ["tcp://docker.example:2375", "ssh://me@docker.example", "https://docker.example"] {
        let ended = this_workspace().variable("DOCKER_HOST", host).run("rehearse --provider docker").await;
        ended.must_exit(2);
        assert!(ended.error().0.contains("DOCKER_HOST names an engine by"), "{}", ended.text());
    }
    if server().provider() == "local" {
        let project =
            project.variable("DOCKER_HOST", "tcp://docker.example:2375").variable("REHEARSAL_PROVIDER", "auto");
        let ended = project.run("rehearse").await;
        ended.must_exit(0).must_say("not docker: DOCKER_HOST names an engine by tcp://");
        assert_eq!(ended.record()["sandbox"]["provider"], "local");
    }
}

#[tokio::test]
async fn a_container_of_another_machine_is_not_swept() {
    if !docker::is_usable("a_container_of_another_machine_is_not_swept").await {
        return;
    }
    let project = project().migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;");
    let ours = rehearsal::process::identity();
    let words: Vec<&str> = ours.split(' ').collect();
    let place = words[2..].join(" ");
    let foreign = docker::create("4194305 1 another-boot pid:[1] elsewhere").await;
    let ended = docker::create(&format!("4194305 1 {place}")).await;
    project.run("rehearse --provider docker").await.must_exit(0);
    assert!(docker::remove(&foreign).await, "it may belong to a run that goes on");
    assert!(!docker::remove(&ended).await, "its run has ended");
}

#[tokio::test]
async fn kept_on_request_and_removed_as_it_says() {
    let project = project().migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;");
    let ended = project.start("rehearse --keep").end().await;
    ended.must_exit(0).must_say("look at the sandbox with `");
    let next = ended.stdout.lines().find_map(|line| line.trim().strip_prefix("next: ")).expect("what to do next");
    let removal = next.split('`').nth(3).expect("how to remove it");
    // A later run leaves it alone.
    project.start("rehearse").end().await.must_exit(0);
    let done = std::process::Command::new("sh").arg("-c").arg(removal).output().expect("a shell");
    assert!(done.status.success(), "{removal}");
    project.must_be_clean_after(&ended).await;
}
