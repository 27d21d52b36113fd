//! What belongs to a database and is in no dump, when it is restored beside the original.

use rehearsal_tests::{Database, database};

use crate::project;

/// A cluster has roles that a database knows nothing of, and one of them may be gone by now.
#[tokio::test]
async fn only_roles_that_the_dump_names_must_be_there() {
    let source = Database::create().await;
    let name = source.name();
    let (unrelated, owner, reader) = (format!("unrelated_{name}"), format!("owner_{name}"), format!("Reader {name}"));
    source
        .execute(&format!(
            "CREATE ROLE {unrelated}; CREATE ROLE {owner}; CREATE ROLE \"{reader}\"; CREATE TABLE a (id int); \
             ALTER TABLE a OWNER TO {owner}; GRANT SELECT ON a TO \"{reader}\""
        ))
        .await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    source.execute(&format!("DROP ROLE {unrelated}")).await;
    let restored = format!("{name}_restored");
    project.run(&format!("restore --into {restored}")).await.must_exit(0);
    let copy = database::of(&restored);
    assert_eq!(copy.value::<String>("SELECT tableowner::text FROM pg_tables WHERE tablename = 'a'").await, owner);
    drop(copy);
    // The two that it does name are asked for before anything is created.
    source.execute(&format!("DROP OWNED BY {owner}, \"{reader}\"; DROP ROLE {owner}, \"{reader}\"")).await;
    let ended = project.run(&format!("restore --into {restored}")).await;
    ended.must_exit(3);
    let error = ended.error().0;
    assert!(error.contains(&format!("role {owner}")) && error.contains(&format!("role {reader}")), "{error}");
    let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{restored}'");
    assert_eq!(source.value::<i64>(&there).await, 0);
}

#[tokio::test]
async fn the_originals_settings_are_the_new_databases() {
    let source = Database::create().await;
    let name = source.name();
    source
        .execute(&format!(
            "CREATE SCHEMA \"App\"; ALTER DATABASE {name} SET search_path = \"App\", public; ALTER DATABASE {name} SET work_mem = '5MB'"
        ))
        .await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    let restored = format!("{name}_restored");
    let ended = project.run(&format!("restore --into {restored}")).await;
    ended.must_exit(0);
    assert_eq!(ended.steps(), ["restore done"]);
    let copy = database::of(&restored);
    assert_eq!(copy.value::<String>("SHOW search_path").await, "\"App\", public");
    assert_eq!(copy.value::<String>("SHOW work_mem").await, "5MB");
}

#[tokio::test]
async fn another_collation_than_the_originals_is_told() {
    let maintenance = Database::create().await;
    let name = format!("{}_posix", maintenance.name());
    maintenance
        .execute(&format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'POSIX' LC_CTYPE 'POSIX'"))
        .await;
    let source = database::of(&name);
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    let restored = format!("{name}_restored");
    let ended = project.run(&format!("restore --into {restored}")).await;
    ended.must_exit(0).must_say(&format!("that of {name} is C C:"));
    assert_eq!(ended.steps(), ["restore warned"]);
    drop(database::of(&restored));
}
