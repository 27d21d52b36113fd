//! The three ways back, and what each of them loses.

use rehearsal_tests::{Database, Project, database};

use crate::project;

/// Version 1 with a backup, then version 2 and rows that were written with it.
async fn released(project: Project) -> (Database, Project) {
    let database = Database::create().await;
    let project = project.on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    project.run("migrate").await.must_exit(0);
    database
        .execute("INSERT INTO people VALUES (3, 'cy', 'c'); UPDATE pets SET name = 'rex' WHERE name = 'rover'")
        .await;
    (database, project)
}

fn people() -> Project {
    project().migration(
        "01_people",
        "CREATE TABLE people (id int, name text); INSERT INTO people VALUES (1, 'ann'), (2, 'bo'); \
         CREATE TABLE pets (name text); INSERT INTO pets VALUES ('rover'); CREATE TABLE same (n int); INSERT INTO same VALUES (1);",
        "DROP TABLE people, pets, same;",
    )
}

fn with_down() -> Project {
    people().migration(
        "02_nick",
        "ALTER TABLE people ADD COLUMN nick text; CREATE TABLE visits (n int); INSERT INTO visits VALUES (1), (2);",
        "DROP TABLE visits; ALTER TABLE people DROP COLUMN nick;",
    )
}

/// What gave way to a backup.
async fn before(database: &Database) -> Vec<Database> {
    let name = database.name();
    let sql = format!("SELECT datname FROM pg_database WHERE datname LIKE '{name}\\_before\\_%'");
    database.list(&sql).await.iter().map(|name| database::of(name)).collect()
}

#[tokio::test]
async fn by_a_backup() {
    let (database, project) = released(with_down()).await;
    let ended = project.run("rollback --way restore").await;
    ended
        .must_exit(0)
        .must_say("public.people: at least 1 row inserted (2 then, 3 now)")
        .must_say("public.pets: some of 1 row changed")
        .must_say("public.visits: made since, with 2 rows: all of it");
    assert!(!ended.text().contains("public.same:"), "{}", ended.text());
    assert_eq!(ended.steps(), ["backup done", "restore done"]);
    assert_eq!(database.applied().await, ["1"]);
    assert_eq!(database.list("SELECT name FROM people ORDER BY id").await, ["ann", "bo"]);
    assert_eq!(database.list("SELECT name FROM pets").await, ["rover"]);
    // What was given up is in a backup of its own, and beside.
    assert_eq!(project.names_in("backups/dev").len(), 2);
    let olds = before(&database).await;
    let [old] = &olds[..] else { panic!("{}", ended.text()) };
    assert_eq!(old.list("SELECT name FROM people ORDER BY id").await, ["ann", "bo", "cy"]);
    assert_eq!(old.applied().await, ["1", "2"]);
    // And it goes on from there.
    project.run("migrate").await.must_exit(0);
    assert_eq!(database.applied().await, ["1", "2"]);
}

/// The newest backup may be of what is there now: that one is no way back.
#[tokio::test]
async fn only_a_backup_of_the_version_that_is_to_stay() {
    let (database, project) = released(with_down()).await;
    project.run("db-backup").await.must_exit(0);
    project.run("rollback --way restore").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
    drop(before(&database).await);
    let now = database.everything().await;
    let ended = project.run("rollback --to 0 --way restore").await;
    ended.must_exit(3);
    assert!(
        ended.error().0.contains("no backup of `dev` is of version 0: the newest is backups/dev/"),
        "{}",
        ended.text()
    );
    assert_eq!(database.everything().await, now);
}

#[tokio::test]
async fn without_a_down_file_the_others_are_named() {
    let project = people().write("migrations/02_nick.up.sql", "ALTER TABLE people ADD COLUMN nick text;");
    let (database, project) = released(project).await;
    let now = database.everything().await;
    for command in ["rollback", "plan --rollback"] {
        let ended = project.run(command).await;
        ended.must_exit(3).must_say("  restore  puts backups/dev/").must_say("public.people: at least 1 row inserted");
        let (error, hint) = ended.error();
        assert!(error.contains("version 2 has no down file"), "{error}");
        assert!(hint.contains("--way restore") && hint.contains("--way forward"), "{hint}");
    }
    let ended = project.run("rollback --way forward").await;
    ended.must_exit(0).must_say("(version 2 has no down file): write migrations/03_mend.up.sql");
    assert_eq!(database.everything().await, now);
    project.run("rollback --way restore").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
    drop(before(&database).await);
}

/// What a rehearsal of these very files saw decides whether the down files are taken without being asked for.
#[tokio::test]
async fn by_what_was_rehearsed() {
    let (database, project) = released(with_down()).await;
    project
        .run("plan --rollback")
        .await
        .must_exit(0)
        .must_say("not rehearsed as it is now: what it gives back is not proven");
    project.run("rehearse").await.must_exit(0);
    let ended = project.run("plan --rollback").await;
    ended.must_exit(0).must_say("▸ down").must_say("on generated data: as before, exactly:");
    // With another down file it is not known again; and where that one does not come back, it is not taken.
    project.change("migrations/02_nick.down.sql", "DROP TABLE visits;");
    project.run("plan --rollback").await.must_exit(0).must_say("not rehearsed as it is now");
    project.run("rehearse").await.must_exit(3);
    let now = database.everything().await;
    let ended = project.run("rollback").await;
    ended.must_exit(3).must_say("and did not come back:");
    assert!(ended.error().0.contains("failed in a rehearsal of these very files"), "{}", ended.text());
    assert_eq!(database.everything().await, now);
    project.run("rollback --way down").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
}

/// Bare `rollback` stops at the release before, whichever way it goes.
#[tokio::test]
async fn no_more_than_the_last_release() {
    let project = people()
        .migration("02_a", "CREATE TABLE a (n int);", "DROP TABLE a;")
        .migration("03_b", "CREATE TABLE b (n int);", "DROP TABLE b;")
        .write(
            "rehearsal.toml",
            "[targets.dev]\nurl_env = 'DATABASE_URL'\n[[releases]]\nname = 'one'\nafter = 0\nto = 1\n\
             [[releases]]\nname = 'two'\nafter = 1\nto = 3\n",
        );
    let database = Database::create().await;
    let project = project.on(&database);
    for version in [1, 2, 3] {
        project.run(&format!("migrate --to {version}")).await.must_exit(0);
        project.run("db-backup").await.must_exit(0);
    }
    project.run("rollback --way restore").await.must_exit(0);
    assert_eq!(database.applied().await, ["1"]);
    drop(before(&database).await);
}
