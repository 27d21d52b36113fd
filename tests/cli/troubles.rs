//! The troubles that the runbooks tell of: each happens, the tool says the cause and the way out, and
//! the way out works.

use rehearsal_tests::{Database, Ended, Project};

use crate::all_releases;

/// A project of all releases whose target is at that version, with three people in it.
async fn at(version: i64) -> (Database, Project) {
    let database = Database::create().await;
    let project = all_releases().on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    database
        .execute(
            "INSERT INTO users (email, hashed_password) VALUES ('ada@example.com', 'x'), ('ada@example.org', 'x'), ('bo@example.com', 'x');
             INSERT INTO tasks (user_id, title) SELECT id, n FROM users, generate_series(1, 2) n;
             INSERT INTO racer_profiles (owner_id, display_name) SELECT id, 'Racer' FROM users",
        )
        .await;
    if version > 1 {
        project.run(&format!("migrate --to {version}")).await.must_exit(0);
    }
    (database, project)
}

/// The checks of a `verify` that did not hold.
fn failed(ended: &Ended) -> Vec<String> {
    let record = ended.record();
    let checks = record["steps"][0]["checks"].as_array().expect("checks");
    let failed = checks.iter().filter(|check| check["outcome"] == "failed");
    failed.map(|check| check["name"].as_str().expect("a name").to_owned()).collect()
}

/// The column is there already, made by hand, before any version knows of it.
async fn column_is_there(before: i64, newest: i64, add: &str, drop: &str, name: &str) {
    let (database, project) = at(before).await;
    database.execute(add).await;
    let ended = project.run(&format!("migrate --to {newest}")).await;
    ended.must_exit(1).must_say(&format!("column \"{name}\" of relation"));
    let (message, hint) = ended.error();
    assert!(message.contains("already exists (42701)"), "{message}");
    assert!(hint.contains(&format!("`cargo xtask mark-applied {}` proves that and records it", before + 1)), "{hint}");
    assert!(hint.contains("if nothing in it is needed, drop it and run the same command again"), "{hint}");
    assert!(hint.contains("nothing of this file was applied"), "{hint}");
    assert_eq!(database.applied().await.last(), Some(&before.to_string()));
    database.execute(drop).await;
    project.run(&format!("migrate --to {newest}")).await.must_exit(0);
    project.run("verify").await.must_exit(0);
}

/// The column is the right one: it is recorded, and the release goes on from there.
#[tokio::test]
async fn r2_the_right_column_is_there_already() {
    let (database, project) = at(1).await;
    let file =
        std::fs::read_to_string(project.path("migrations/0002_add_onboarding_completed.up.sql")).expect("a file");
    database.execute(&file).await;
    project.run("migrate --to 6").await.must_exit(1).must_say("mark-applied 2");
    project.run("mark-applied 2").await.must_exit(0);
    project.run("migrate --to 6").await.must_exit(0);
    project.run("verify").await.must_exit(0);
}

/// The right column alone is not all that the version makes: what is missing is named.
#[tokio::test]
async fn r4_the_right_column_is_not_the_whole_version() {
    let (database, project) = at(13).await;
    database.execute(r#"ALTER TABLE "user" ADD COLUMN username text"#).await;
    project.run("migrate --to 19").await.must_exit(1);
    let ended = project.run("mark-applied 14").await;
    ended.must_exit(3).must_say("TABLE public.username_claims").must_say("TABLE public.reserved_usernames");
    assert_eq!(database.applied().await.last(), Some(&"13".to_owned()));
}

#[tokio::test]
async fn r2_the_column_is_there_already() {
    let add = "ALTER TABLE users ADD COLUMN onboarding_completed boolean";
    column_is_there(1, 6, add, "ALTER TABLE users DROP COLUMN onboarding_completed", "onboarding_completed").await;
}

#[tokio::test]
async fn r4_the_column_is_there_already() {
    let add = r#"ALTER TABLE "user" ADD COLUMN username varchar(10) DEFAULT 'x'"#;
    column_is_there(13, 19, add, r#"ALTER TABLE "user" DROP COLUMN username"#, "username").await;
}

/// A column of the right name and of another kind is not passed over: its check tells what is there.
#[tokio::test]
async fn a_wrong_column_is_told_from_the_right_one() {
    let (database, project) = at(14).await;
    project.run("verify").await.must_exit(0);
    database
        .execute(r#"ALTER TABLE "user" ALTER COLUMN username TYPE varchar(10), ALTER COLUMN username SET DEFAULT 'x'"#)
        .await;
    let ended = project.run("verify").await;
    ended.must_exit(3).must_say("found=character varying(10)");
    assert_eq!(failed(&ended), ["username-column"]);
    database.execute(r#"ALTER TABLE "user" ALTER COLUMN username DROP DEFAULT, ALTER COLUMN username TYPE text"#).await;
    project.run("verify").await.must_exit(0);

    // The same with a rule: the right name, and nothing behind it.
    for version in [17, 18] {
        project.run(&format!("migrate --to {version}")).await.must_exit(0);
        let hollow =
            r#"ALTER TABLE "user" DROP CONSTRAINT user_username_format, ADD CONSTRAINT user_username_format CHECK"#;
        database.execute(&format!("{hollow} (true)")).await;
        project.run("verify").await.must_exit(3);
        database.execute(&format!("{hollow} (username_format_problem(username) IS NULL)")).await;
        project.run("verify").await.must_exit(0);
    }
}

#[tokio::test]
async fn r4_duplicates_are_named_and_put_right_by_the_same_rule() {
    let (database, project) = at(15).await;
    // Somebody has written to the column by hand.
    database.execute(r#"UPDATE "user" SET username = 'ada' WHERE email = 'ada@example.org'"#).await;
    let ended = project.run("migrate --to 19").await;
    ended.must_exit(5).must_say("0016_index_usernames.up.sql");
    assert!(ended.error().1.contains("there are duplicates: (username) = (ada) 2 times"), "{}", ended.text());
    let verified = project.run("verify").await;
    verified.must_exit(3).must_say("username=ada, people=2, ids=1, 2");
    assert!(failed(&verified).contains(&"username-no-duplicates".to_owned()), "{}", verified.text());

    database.execute(r#"UPDATE "user" SET username = claim_username(id, email) WHERE id = 2"#).await;
    project.run("migrate --to 19").await.must_exit(0);
    project.run("verify").await.must_exit(0);
    let names = database.list(r#"SELECT username FROM "user" ORDER BY id"#).await;
    assert_eq!([&names[0], &names[2]], ["ada", "user-bo"], "the others keep theirs");
    assert!(names[1].starts_with("ada-"), "{names:?}");
}

#[tokio::test]
async fn r4_nulls_are_found_and_the_backfill_takes_up_what_is_left() {
    let (database, project) = at(16).await;
    database
        .execute(
            r#"ALTER TABLE "user" DISABLE TRIGGER user_claims_username;
               INSERT INTO "user" (email) VALUES ('left@example.com'), ('behind@example.com');
               ALTER TABLE "user" ENABLE TRIGGER user_claims_username"#,
        )
        .await;
    let ended = project.run("migrate --to 19").await;
    ended.must_exit(1).must_say("check constraint \"user_username_given\"");
    assert!(ended.error().1.contains("some rows do not follow it"), "{}", ended.text());
    let verified = project.run("verify").await;
    verified.must_exit(3);
    assert!(failed(&verified).contains(&"username-none-missing".to_owned()), "{}", verified.text());

    let named = r#"SELECT concat_ws(' ', id, username) FROM "user" WHERE id <= 3 ORDER BY id"#;
    let before = database.list(named).await;
    project.run("rollback --to 14").await.must_exit(0);
    project.run("migrate --to 19").await.must_exit(0);
    project.run("verify").await.must_exit(0);
    assert_eq!(database.list(named).await, before, "who had a name keeps it");
    let left = r#"SELECT username FROM "user" WHERE id > 3 ORDER BY id"#;
    assert_eq!(database.list(left).await, ["left", "behind"]);
}

/// Somebody has tried to build it by hand, and half of it is still there.
#[tokio::test]
async fn an_invalid_index_is_dropped_and_built_again() {
    let (database, project) = at(8).await;
    let mut connection = database.connect().await;
    let failed = sqlx::raw_sql("CREATE UNIQUE INDEX CONCURRENTLY idx_tasks_open ON tasks (user_id)")
        .execute(&mut connection)
        .await;
    assert!(failed.is_err(), "people have more than one task");
    let invalid = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'idx_tasks_open'::regclass";
    assert!(database.value::<bool>(invalid).await);
    let ended = project.run("migrate --to 11").await;
    ended.must_exit(0).must_say("INVALID");
    assert!(!database.value::<bool>(invalid).await);
    project.run("verify").await.must_exit(0);
}

/// The code asks for a table that is not there: a model and a migration that disagree.
#[tokio::test]
async fn r1_a_relation_that_is_missing_is_named() {
    let (database, project) = at(11).await;
    database.execute(r#"ALTER TABLE "user" RENAME TO users"#).await;
    let verified = project.run("verify").await;
    verified.must_exit(3).must_say("relation \"user\" does not exist (42P01)");
    assert!(failed(&verified).contains(&"user-columns".to_owned()), "{}", verified.text());
    let ended = project.run("migrate --to 19").await;
    ended.must_exit(1).must_say("relation \"user\" does not exist");
    assert!(ended.error().1.contains("compare the database with `cargo xtask status`"), "{}", ended.text());
    database.execute(r#"ALTER TABLE users RENAME TO "user""#).await;
    project.run("migrate --to 19").await.must_exit(0);
    project.run("verify").await.must_exit(0);
}

/// A default that does not stay: which owners have none is a query, and the backfill's statement can be
/// run again.
#[tokio::test]
async fn r3_an_owner_without_default_is_found() {
    let (database, project) = at(13).await;
    database.execute("UPDATE racer_profiles SET is_default = false WHERE owner_id = 2").await;
    let verified = project.run("verify").await;
    verified.must_exit(3).must_say("owner_id=2, profiles=1");
    assert_eq!(failed(&verified), ["default-profile-nobody-without"]);
    project.run("rollback --to 12").await.must_exit(0);
    project.run("migrate --to 13").await.must_exit(0);
    project.run("verify").await.must_exit(0);
}
