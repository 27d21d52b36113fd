//! What belongs to a database and is in no dump, when it is restored beside the original.

use rehearsal::backup::manifest::Manifest;
use rehearsal_tests::{Database, database, until};
use rustix::process::Signal;
use sqlx::Executor;

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

/// Text is sorted by a database's collation, which no dump has.
#[tokio::test]
async fn the_new_database_sorts_as_the_original() {
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
    ended.must_exit(0);
    assert_eq!(ended.steps(), ["restore done"]);
    let collation = "SELECT concat_ws(' ', datcollate, datctype) FROM pg_database WHERE datname = current_database()";
    let restored = database::of(&restored);
    assert_eq!(restored.value::<String>(collation).await, source.value::<String>(collation).await);
}

/// The newest backup may be one that counts for nothing: which one is taken instead is said.
#[tokio::test]
async fn what_is_passed_over_is_named() {
    let source = Database::create().await;
    source.execute("CREATE TABLE a AS SELECT 1 AS id").await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    let proven = project.names_in("backups/dev");
    let restored = format!("{}_restored", source.name());
    let ended = project.run(&format!("restore --into {restored}")).await;
    ended.must_exit(0);
    assert!(!ended.text().contains("is newer"), "{}", ended.text());
    drop(database::of(&restored));
    for _ in 0..2 {
        project.run("db-backup --proof none").await.must_exit(0);
    }
    let newest = project.names_in("backups/dev").pop().expect("a backup");
    let ended = project.run(&format!("restore --into {restored}")).await;
    ended
        .must_exit(0)
        .must_say(&format!(
            "{newest} is newer, and not taken: it is not proven: no proof was asked for (1 more newer one not taken either)"
        ))
        .must_say(&format!("taken is backups/dev/{}", proven[0]));
    drop(database::of(&restored));
}

/// A dump does not go back to an older major: that is told before anything is made.
#[tokio::test]
async fn an_older_server_is_refused() {
    let source = Database::create().await;
    let project = project().on(&source);
    project.run("db-backup").await.must_exit(0);
    let folder = project.path(&format!("backups/dev/{}", project.names_in("backups/dev")[0]));
    let mut manifest = Manifest::read(&folder).expect("a manifest");
    manifest.server.major += 1;
    manifest.write(&folder).expect("it is written");
    let ended = project.run("restore").await;
    ended.must_exit(3);
    assert!(ended.error().0.contains("a dump does not go back to an older major"), "{:?}", ended.error());
    let beside = format!("SELECT datname FROM pg_database WHERE datname LIKE '{}\\_%'", source.name());
    assert_eq!(source.list(&beside).await, Vec::<String>::new());
}

/// What restores have left beside a database is shown with what to do about it, and nobody else's.
#[tokio::test]
async fn status_shows_what_is_left_beside() {
    let source = Database::create().await;
    let name = source.name().to_owned();
    let project = project().items(20).on(&source);
    project.run("migrate").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    let status = project.run("status").await;
    assert!(!status.text().contains("beside"), "{}", status.text());
    project.run("restore --swap").await.must_exit(0);
    // A restore that does not come to its end: it waits for a lock, and is killed.
    let mut holder = source.connect().await;
    holder.execute("BEGIN; SELECT pg_advisory_lock(x'7265686561727361'::bigint)").await.expect("the lock");
    let unproven = format!("SELECT datname FROM pg_database WHERE datname LIKE '{name}\\_%.unproven'");
    let running = project.start(&format!("restore --into {name}_restored"));
    let left = until("it has begun", async || source.list(&unproven).await.pop()).await;
    running.signal(Signal::KILL);
    running.end().await;
    drop(holder);
    let left = database::of(&left);
    let others = Database::create().await;
    others.execute(&format!("CREATE DATABASE {}_before_20200101t000000000z", others.name())).await;
    let others = database::of(&format!("{}_before_20200101t000000000z", others.name()));
    let before = format!("SELECT datname FROM pg_database WHERE datname LIKE '{name}\\_before\\_%'");
    let before = database::of(&source.list(&before).await.pop().expect("a database that was put aside"));
    let shown = until("nobody fills it", async || {
        let status = project.run("status").await;
        (!status.text().contains("a restore fills it")).then_some(status)
    })
    .await;
    shown
        .must_exit(0)
        .must_say(&format!("{}  less than a minute old, ", before.name()))
        .must_say(&format!("when nobody needs it any more: `DROP DATABASE \"{}\"`", before.name()))
        .must_say(&format!("{}  less than a minute old, ", left.name()))
        .must_say("a restore that was killed has left it; the next `cargo xtask restore --target dev` removes it");
    assert!(!shown.text().contains(others.name()), "{}", shown.text());
    drop((left, before, others));
}

/// `db-backup show … | head` is no failure, and neither is a run whose lines nobody reads.
#[tokio::test]
async fn a_reader_that_has_gone() {
    let source = Database::create().await;
    let project = project().items(20).on(&source);
    for (words, says) in [
        ("plan", ""),
        ("plan --json", ""),
        ("plan --sql", ""),
        ("migrate", "record: "),
        ("status", ""),
        ("status --json", ""),
        ("db-backup --json", "record: "),
        ("db-backup list", ""),
        ("db-backup list --json", ""),
        ("db-backup show BACKUP", ""),
        ("db-backup show BACKUP --json", ""),
        ("db-backup check", "record: "),
    ] {
        let backup = project.names_in("backups/dev").pop().unwrap_or_default();
        let (code, stderr) = project.run_unread(&words.replace("BACKUP", &backup)).await;
        assert_eq!(code, Some(0), "{words}: {stderr}");
        assert!(!stderr.contains("roken pipe") && stderr.contains(says), "{words}: {stderr}");
    }
    assert_eq!(source.applied().await, ["1", "2", "3"]);
}
