//! A release in two parts: expand, with which the code of before still works, and contract.

use rehearsal_tests::{Database, Project};

use crate::project;

/// Two releases: `first` is version 2, `second` expands with 3 and 4 and contracts with 5.
pub const RELEASES: &str = "
[[releases]]
name = 'first'
after = 1
to = 2

[[releases]]
name = 'second'
after = 2
expand = 4
to = 5
";

pub fn two_releases() -> Project {
    project()
        .migration("1_people", "CREATE TABLE people (name text);\n", "DROP TABLE people;\n")
        .migration("2_age", "ALTER TABLE people ADD COLUMN age int;\n", "ALTER TABLE people DROP COLUMN age;\n")
        .migration(
            "3_persons",
            "ALTER TABLE people RENAME TO persons;\nCREATE VIEW people AS SELECT * FROM persons;\n",
            "DROP VIEW people;\nALTER TABLE persons RENAME TO people;\n",
        )
        .migration("4_index", "CREATE INDEX persons_name ON persons (name);\n", "DROP INDEX persons_name;\n")
        .migration("5_contract", "DROP VIEW people;\n", "CREATE VIEW people AS SELECT * FROM persons;\n")
        .write("rehearsal.toml", RELEASES)
}

#[tokio::test]
async fn expand_and_contract_go_out_one_by_one_and_back_together() {
    let database = Database::create().await;
    let project = two_releases().on(&database);
    for (words, newest) in [
        ("migrate --release first", 2),
        ("migrate --expand", 4),
        // All that it may do is done.
        ("migrate --expand", 4),
        ("rollback", 2),
        ("migrate --release second --expand", 4),
        ("migrate --release second", 5),
        ("migrate --expand", 5),
        ("rollback", 2),
        ("migrate --release second", 5),
    ] {
        project.run(words).await.must_exit(0);
        assert_eq!(database.applied().await.last(), Some(&newest.to_string()), "after {words}");
    }
}

#[tokio::test]
async fn expand_means_one_release() {
    let database = Database::create().await;
    let project = two_releases().on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    let ended = project.run("migrate --expand").await;
    ended.must_exit(2);
    let (message, hint) = ended.error();
    assert!(message.contains("several releases are pending (first, second)"), "{message}");
    assert!(hint.contains("--release first --expand"), "{hint}");
    project.run("plan --expand").await.must_exit(2);
    project.run("migrate --to 1 --expand").await.must_exit(2);
    project.run("plan --release third").await.must_exit(2);
    let planned = project.run("plan --release second --expand --json").await;
    planned.must_exit(0).must_say("4_index");
    assert!(!planned.text().contains("5_contract"), "{}", planned.text());
    assert_eq!(database.applied().await, ["1"]);
    // What belongs to no release has no expand part.
    project.change("rehearsal.toml", "");
    project.run("migrate --expand").await.must_exit(2);
}

#[tokio::test]
async fn a_rehearsal_looks_where_old_and_new_code_meet() {
    let project = two_releases().write(
        "migrations/checks/between.sql",
        "-- check: the-old-name-still-works\n-- expect: value 0\n-- since: 3\n-- until: 5\nSELECT count(*) FROM people;\n",
    );
    let ended = project.run("rehearse").await;
    ended.must_exit(0);
    let record = ended.record();
    let steps = record["steps"].as_array().expect("steps");
    let summaries: Vec<&str> = steps
        .iter()
        .filter(|step| step["name"] == "migrate" || step["name"] == "rollback")
        .filter_map(|step| step["summary"].as_str())
        .collect();
    assert_eq!(
        summaries,
        [
            "2 migrations applied, now at version 4",
            "1 migration applied, now at version 5",
            "3 migrations undone, now at version 2",
            "3 migrations applied, now at version 5",
        ]
    );
    let between = steps[5]["checks"].as_array().expect("checks");
    assert_eq!((steps[5]["name"].as_str(), between.len()), (Some("verify"), 1), "{record}");
}

#[tokio::test]
async fn all_releases_go_there_and_back_in_one_go() {
    let project = two_releases();
    let ended = project.run("rehearse --all").await;
    ended.must_exit(0).must_say("release first, second");
    let record = ended.record();
    assert_eq!(record["steps"][0]["summary"].as_str().map(|text| text.contains("at version 1")), Some(true));
    let migrated = ended.steps().iter().filter(|step| *step == "migrate done").count();
    assert_eq!(migrated, 4, "three stops on the way there, and the whole way once more");
    project.run("rehearse --all --release first").await.must_exit(2);
}

#[tokio::test]
async fn a_copy_half_way_through_a_release_goes_on_from_there() {
    let database = Database::create().await;
    let project = two_releases().on(&database);
    project.run("migrate --release second --expand").await.must_exit(0);
    let ended = project.run("rehearse --target dev").await;
    ended.must_exit(0).must_say("1 migration applied, now at version 5");
    assert_eq!(database.applied().await.last().map(String::as_str), Some("4"));
}
