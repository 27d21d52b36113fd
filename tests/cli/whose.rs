//! A backup is of one database, whatever name led there, and goes where it was told to and nowhere else.

use rehearsal_tests::{Database, database};

use crate::project;

/// A target is a name: as soon as its URL leads elsewhere, the backups below that name are of another database.
#[tokio::test]
async fn those_of_another_database_are_not_taken() {
    let (one, other) = (Database::create().await, Database::create().await);
    one.execute("CREATE TABLE keep (id int); INSERT INTO keep VALUES (1)").await;
    let project = project().items(10).on(&one);
    project.run("db-backup").await.must_exit(0);
    let project = project.on(&other);
    project.run("migrate").await.must_exit(0);
    let refused = "no backup of `dev` is of the database that it leads to now";
    for words in ["restore --swap --yes", "restore"] {
        project.run(words).await.must_exit(3).must_say(refused);
    }
    project
        .run("rollback --way restore --to 0 --yes")
        .await
        .must_exit(3)
        .must_say("no backup of `dev` is of version 0");
    assert!(other.has("items").await, "it is as it was");
    // A newer one of the other database is named, and the older one is taken.
    project.run("db-backup").await.must_exit(0);
    let project = project.on(&one);
    let into = format!("{}_restored", one.name());
    project.run(&format!("restore --into {into}")).await.must_exit(0).must_say("is of another database");
    let restored = database::of(&into);
    assert!(restored.has("keep").await);
    // Whoever names one has chosen it, and is told what it is.
    let newest = project.names_in("backups/dev").pop().expect("the newest");
    project
        .run(&format!("restore {newest} --swap --yes"))
        .await
        .must_exit(0)
        .must_say("look at this: it is a backup of another database");
    assert!(one.has("items").await);
    for name in
        one.list(&format!("SELECT datname FROM pg_database WHERE datname LIKE '{}\\_before\\_%'", one.name())).await
    {
        drop(database::of(&name));
    }
}

/// libpq takes a name with `=` for a whole connection string.
#[tokio::test]
async fn a_name_that_looks_like_a_connection_string() {
    let (source, victim) = (Database::create().await, Database::create().await);
    source.execute("CREATE TABLE keep (id int); INSERT INTO keep VALUES (1)").await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    let name = format!("dbname={}", victim.name());
    project.run(&format!("restore --into {name}")).await.must_exit(0);
    let restored = database::of(&name);
    assert!(restored.has("keep").await);
    assert!(!victim.has("keep").await, "nothing went there");
}

#[tokio::test]
async fn the_servers_own_databases_are_left_alone() {
    let source = Database::create().await;
    source.execute("CREATE TABLE keep_of_ours (id int)").await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    for name in ["template1", "template0", "postgres"] {
        let words = format!("`{name}` is a template or the server's own database");
        project.run(&format!("restore --into {name} --yes")).await.must_exit(2).must_say(&words);
    }
    assert!(!Database::create().await.has("keep_of_ours").await, "a new database has nothing of it");
}

/// One subscription of that slot is enough, and a database with one cannot be dropped: neither may keep anybody from a restore.
#[tokio::test]
async fn a_subscription_is_left_out() {
    let source = Database::create().await;
    let name = format!("sub_{}", source.name());
    source
        .execute(&format!(
            "CREATE TABLE keep (id int); \
             CREATE SUBSCRIPTION {name} CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p \
                 WITH (connect = false, slot_name = 'of_the_original')"
        ))
        .await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    let into = format!("{}_restored", source.name());
    project
        .run(&format!("restore --into {into}"))
        .await
        .must_exit(0)
        .must_say(&format!("subscription {name} is left out"));
    let restored = database::of(&into);
    let subscriptions = "SELECT count(*) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid \
                         WHERE d.datname = current_database()";
    assert_eq!(restored.value::<i64>(subscriptions).await, 0);
    source.execute(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")).await;
    source.execute(&format!("DROP SUBSCRIPTION {name}")).await;
}
