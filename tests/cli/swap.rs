//! `restore --swap`: a backup takes a database's place, and whatever stops it, there is one database of that name,
//! with all of the one or all of the other.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;

use rehearsal::target::Host;
use rehearsal_tests::gate::{Gate, Moment};
use rehearsal_tests::server::another;
use rehearsal_tests::{Database, Ended, Project, database, docker, server, until};
use rustix::process::Signal;
use sqlx::{ConnectOptions, Connection, Executor, Row};

use crate::backup::SmallDisk;
use crate::project;

/// With this a restore begins to hold something.
const FROM: &str = "pg_try_advisory_lock";

/// How long clients may be held while names change, in milliseconds.
const HELD: u64 = 1_000;

/// A database with a backup, and a row that was written since.
async fn written_since() -> (Database, Project) {
    let database = Database::create().await;
    let project = project().items(200).on(&database);
    project.run("migrate --to 2").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    project.run("migrate").await.must_exit(0);
    database.execute("INSERT INTO items VALUES (1000000, 'late', 10)").await;
    (database, project)
}

const IS_LATE: &str = "SELECT EXISTS (SELECT FROM items WHERE name = 'late')";

/// Databases that came of one; the guards drop them.
async fn beside(of: &Database, word: &str) -> Vec<Database> {
    let name = of.name();
    let sql = format!(
        "SELECT datname FROM pg_database WHERE datname LIKE '{name}\\_%' AND datname LIKE '%{word}%' ORDER BY 1"
    );
    database_names(&sql).await.iter().map(|name| database::of(name)).collect()
}

/// Asked beside the database, which may be about to change its name.
async fn database_names(sql: &str) -> Vec<String> {
    let mut connection = server().database("postgres").connect_options("test").connect().await.expect("a connection");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.expect("the names");
    connection.close().await.expect("it goes");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn what_was_there_stays_beside() {
    let (database, project) = written_since().await;
    let name = database.name().to_owned();
    let (owner, role) = (format!("owner_{name}"), format!("Role {name}"));
    database
        .execute(&format!(
            "CREATE ROLE {owner}; CREATE ROLE \"{role}\"; ALTER DATABASE {name} OWNER TO {owner}; \
             REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO \"{role}\" WITH GRANT OPTION; \
             ALTER DATABASE {name} CONNECTION LIMIT 17; ALTER DATABASE {name} SET search_path = \"App\", public; \
             ALTER DATABASE {name} SET work_mem = '5MB'; ALTER ROLE \"{role}\" IN DATABASE {name} SET work_mem = '7MB'; \
             COMMENT ON DATABASE {name} IS 'the shop''s'"
        ))
        .await;
    let is = format!(
        "SELECT concat_ws(' ', datacl::text, pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database'), \
             datcollate, (SELECT string_agg(concat_ws(' ', pg_get_userbyid(nullif(setrole, 0)), setconfig), ',' ORDER BY setrole) \
                          FROM pg_db_role_setting WHERE setdatabase = d.oid)) FROM pg_database d WHERE datname = '{name}'"
    );
    let was = database.value::<String>(&is).await;
    let mut client = database.connect().await;
    let elsewhere = Database::create().await;
    let mut bystander = elsewhere.connect().await;
    let ended = project.run("restore --swap").await;
    ended
        .must_exit(0)
        .must_say("public.items: at least 1 row inserted (200 then, 201 now)")
        .must_say("connected now, and disconnected then: 1 client");
    assert!(client.execute("SELECT 1").await.is_err(), "whoever was in the old one was sent away");
    bystander.execute("SELECT 1").await.expect("who is in another database is not sent away");
    assert!(!database.value::<bool>(IS_LATE).await, "it is the backup");
    assert_eq!(database.value::<String>(&is).await, was);
    project.run("status").await.must_exit(0).must_say("2 migrations applied, 1 pending");
    let olds = beside(&database, "before").await;
    let [old] = &olds[..] else { panic!("what was there stays: {}", ended.text()) };
    assert!(old.value::<bool>(IS_LATE).await);
    assert_eq!(old.applied().await, ["1", "2", "3"]);
    assert!(held(&ended) < HELD, "{}", ended.text());
    // The same once more: there is a name for it as well.
    project.run("restore --swap").await.must_exit(0).must_say("nothing was written since");
    let newest = beside(&database, "before").await;
    assert_eq!(newest.len(), 2, "both are there");
    drop(newest);
    // Two guards of one name: it is gone, which is what both want.
    drop(olds);
    database
        .execute(&format!(
            "ALTER DATABASE {name} OWNER TO CURRENT_USER; ALTER ROLE \"{role}\" IN DATABASE {name} RESET ALL; \
             REVOKE ALL ON DATABASE {name} FROM \"{role}\", {owner}"
        ))
        .await;
}

/// For how long clients were held, by the record.
fn held(ended: &Ended) -> u64 {
    let record = ended.record();
    let figures = record["steps"][0]["figures"].as_array().expect("figures").clone();
    let figure = figures.iter().find(|pair| pair[0] == "clients were held for").expect("it is measured");
    let text = figure[1].as_str().expect("a figure");
    text.strip_suffix(" ms").map_or(u64::MAX, |number| number.parse().expect("a number"))
}

/// Clients of a pool come back as soon as they are sent away.
#[tokio::test]
async fn clients_that_come_back_at_once() {
    let (database, project) = written_since().await;
    let url = database.url();
    let pool = tokio::spawn(async move {
        loop {
            if let Ok(mut client) = sqlx::PgConnection::connect(&url).await {
                while client.execute("SELECT count(*) FROM items").await.is_ok() {}
            }
        }
    });
    let ended = project.run("restore --swap").await;
    pool.abort();
    ended.must_exit(0);
    assert!(held(&ended) < HELD, "{}", ended.text());
    assert!(!database.value::<bool>(IS_LATE).await);
    assert_eq!(beside(&database, "before").await.len(), 1);
}

/// A session that the role may not end keeps the old database where it is.
#[tokio::test]
async fn a_client_that_cannot_be_sent_away() {
    let database = Database::create().await;
    let role = format!("owner_{}", database.name());
    let url = database.role(&role, "owner").await;
    database.execute(&format!("ALTER ROLE {role} CREATEDB; ALTER DATABASE {} OWNER TO {role}", database.name())).await;
    let project = project()
        .items(20)
        .variable("DATABASE_URL", &url)
        .write("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\n[limits]\nrun_lock_patience = '2s'\n");
    project.run("migrate").await.must_exit(0);
    project.run("db-backup").await.must_exit(0);
    let mut superuser = database.connect().await;
    let ended = project.run("restore --swap").await;
    ended.must_exit(4);
    assert!(ended.error().0.contains("is still in use after 2 s, by pid"), "{}", ended.text());
    superuser.execute("SELECT count(*) FROM items").await.expect("nothing has happened to it");
    assert!(beside(&database, "").await.is_empty(), "nothing is left beside");
    superuser.close().await.expect("it goes");
    project.run("restore --swap").await.must_exit(0);
    drop(beside(&database, "before").await);
    database.execute(&format!("DROP OWNED BY {role}; ALTER DATABASE {} OWNER TO CURRENT_USER", database.name())).await;
}

/// What the role may not do is told before anything is restored.
#[tokio::test]
async fn rights_are_looked_at_first() {
    let (database, project) = written_since().await;
    let role = format!("poor_{}", database.name());
    let url = database.role(&role, "poor").await;
    database
        .execute(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON SCHEMA public TO {role}"))
        .await;
    let poor = project.variable("DATABASE_URL", &url);
    let ended = poor.run("restore --swap").await;
    ended.must_exit(3);
    assert!(ended.error().0.contains(&format!("role {role} may not create databases")), "{}", ended.text());
    database.execute(&format!("ALTER ROLE {role} CREATEDB")).await;
    let ended = poor.run("restore --swap").await;
    ended.must_exit(3);
    assert!(ended.error().0.contains("may not rename it"), "{}", ended.text());
    assert!(beside(&database, "").await.is_empty());
    database.execute(&format!("DROP OWNED BY {role}")).await;
}

/// The round trips of an undisturbed run, whose outcome goes.
async fn round_trips(database: &Database, project: &Project) -> Vec<String> {
    let gate = Gate::open(database.target(), FROM).await;
    project.start_on(&gate.url(database.target()), "restore --swap").end().await.must_exit(0);
    drop(beside(database, "before").await);
    gate.seen()
}

/// Waits until what is renamed at this moment has its name.
async fn answers(database: &Database) {
    until("the database answers", async || {
        let connected = database.target().connect_options("test").connect().await;
        connected.ok().map(drop)
    })
    .await;
}

/// SIGKILL at its round trips, from the first lock to the last rename. There is always one of the two databases, and
/// the next run does it and leaves nothing of the one before.
#[tokio::test]
async fn killed_anywhere() {
    const PLACES: usize = 6;
    let (database, project) = written_since().await;
    let all = round_trips(&database, &project).await;
    let renaming = 1 + all.iter().position(|sql| sql.contains(" RENAME TO ")).expect("it renames");
    let last = all.len() - 1;
    let mut places: Vec<usize> = (0..PLACES).map(|index| 1 + index * (last - 1) / (PLACES - 1)).collect();
    places.extend([renaming - 1, renaming]);
    let mut was_left = false;
    for (index, place) in places.into_iter().enumerate() {
        let moment = [Moment::Before, Moment::During, Moment::After][index % 3];
        let at = format!("round trip {place} of {}, {moment:?}: {}", all.len(), all[place - 1]);
        answers(&database).await;
        database.execute("INSERT INTO items VALUES (1000000, 'late', 10) ON CONFLICT DO NOTHING").await;
        let gate = Gate::shut_at(database.target(), FROM, place, moment).await;
        let mut running = project.start_on(&gate.url(database.target()), "restore --swap");
        tokio::select! {
            () = gate.has_shut() => {}
            () = until("it ends", async || running.has_ended().then_some(())) => {}
        }
        running.signal(Signal::KILL);
        running.end().await;
        drop(gate);
        answers(&database).await;
        assert_eq!(database.value::<i64>("SELECT count(*) FROM items WHERE name <> 'late'").await, 200, "{at}");
        let left = database_names("SELECT datname FROM pg_database WHERE datname LIKE '%.unproven'").await;
        was_left |= left.iter().any(|name| name.starts_with(&format!("{}_", database.name())));
        let next = project.run("restore --swap").await;
        assert_eq!(next.code, Some(0), "{at}\n{}", next.text());
        assert!(!database.value::<bool>(IS_LATE).await, "{at}");
        assert!(beside(&database, "unproven").await.is_empty(), "{at}");
        drop(beside(&database, "before").await);
    }
    assert!(was_left, "some kills leave a database that is not proven");
}

#[tokio::test]
async fn interrupted_anywhere() {
    let (database, project) = written_since().await;
    let all = round_trips(&database, &project).await;
    let renaming = 1 + all.iter().position(|sql| sql.contains(" RENAME TO ")).expect("it renames");
    let before = database.everything().await;
    for place in [1, renaming / 3, renaming / 2, renaming * 3 / 4] {
        let gate = Gate::shut_at(database.target(), FROM, place, Moment::During).await;
        let running = project.start_on(&gate.url(database.target()), "restore --swap");
        gate.has_shut().await;
        running.signal(Signal::INT);
        gate.open_again();
        let ended = running.end().await;
        assert_eq!(ended.code, Some(130), "round trip {place}: {}\n{}", all[place - 1], ended.text());
        assert!(beside(&database, "").await.is_empty(), "round trip {place}: nothing is left");
        assert_eq!(database.everything().await, before);
    }
}

#[tokio::test]
async fn a_damaged_backup_takes_nobodys_place() {
    let (database, project) = written_since().await;
    let backup = project.names_in("backups/dev").pop().expect("a backup");
    let toc = format!("backups/dev/{backup}/dump/toc.dat");
    let mut bytes = std::fs::read(project.path(&toc)).expect("it is read");
    bytes[100] ^= 4;
    std::fs::write(project.path(&toc), bytes).expect("it is written");
    project.run("restore --swap").await.must_exit(3).must_say("is damaged");
    assert!(database.value::<bool>(IS_LATE).await);
    assert!(beside(&database, "").await.is_empty());
}

/// The target's own name is asked for, as for every act that takes something away.
#[tokio::test]
async fn a_protected_target_asks() {
    let (database, project) = written_since().await;
    project.change("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\nprotected = true\n");
    let ended = project.run("restore --swap").await;
    ended.must_exit(3).must_say("at least 1 row inserted");
    assert!(ended.error().1.contains("--yes"), "{}", ended.text());
    assert!(database.value::<bool>(IS_LATE).await);
    project.run("restore --swap --yes").await.must_exit(0);
    drop(beside(&database, "before").await);
}

/// An empty database that somebody has made is filled, all of it or nothing; one in use, or with something in it, is not.
#[tokio::test]
async fn a_database_that_is_there() {
    let (source, project) = written_since().await;
    let there = Database::create().await;
    let restore = format!("restore --into {}", there.name());
    let client = there.connect().await;
    project.run(&restore).await.must_exit(2).must_say("exists already");
    client.close().await.expect("it goes");
    let who = format!("SELECT datname FROM pg_stat_activity WHERE datname = '{}'", there.name());
    until("it is gone", async || database_names(&who).await.is_empty().then_some(())).await;
    project.run(&restore).await.must_exit(0);
    assert_eq!(there.value::<i64>("SELECT count(*) FROM items").await, 200);
    project.run(&restore).await.must_exit(2).must_say("exists already");
    // One that is gone comes back under its own name.
    let name = source.name().to_owned();
    there.execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    project.run("restore --swap").await.must_exit(2);
    project.run(&format!("restore --into {name}")).await.must_exit(0);
    assert_eq!(source.value::<i64>("SELECT count(*) FROM items").await, 200);
    for name in ["x".repeat(64), "shop.unproven".to_owned()] {
        project.run(&format!("restore --into {name}")).await.must_exit(2).must_say("cannot be the new database's name");
    }
}

/// The server's disk fills while the backup is restored: what was there is as it was.
#[tokio::test]
async fn a_full_disk() {
    // A checkpoint that cannot reach the disk would keep every other test from dropping its database.
    let server = another().await;
    let beside = server.database("postgres");
    let database = Database::create_on(&beside).await;
    let Host::Socket(folder) = beside.host().clone() else {
        docker::skipped("swap::a_full_disk", "the server's files are elsewhere");
        return;
    };
    let project = project().items(20).on(&database);
    let Some(disk) = SmallDisk::mount(project.path("disk"), 40_000) else {
        docker::skipped("swap::a_full_disk", "a small file system can only be mounted as root");
        return;
    };
    let space = PathBuf::from(format!("{}/space", disk.path().display()));
    std::fs::create_dir(&space).expect("a folder");
    let owner = std::fs::metadata(folder.join("data")).expect("its data");
    chown(&space, Some(owner.uid()), Some(owner.gid())).expect("it is handed over");
    let name = database.name();
    database.execute(&format!("CREATE TABLESPACE small_{name} LOCATION '{}'", space.display())).await;
    database::execute(&beside, &format!("ALTER DATABASE {name} SET TABLESPACE small_{name}")).await;
    project.run("migrate").await.must_exit(0);
    database
        .execute(
            "CREATE TABLE large AS SELECT md5(g::text) AS m, md5((g + 1)::text) AS n FROM generate_series(1, 60000) g",
        )
        .await;
    project.run("db-backup").await.must_exit(0);
    // Room for an empty database (2 MB, as its files have holes until a checkpoint), and not for its 6 MB of rows.
    let filler = disk.path().join("filler");
    let room = rustix::fs::statvfs(disk.path()).expect("its size");
    let free = usize::try_from(room.f_bavail * room.f_frsize).expect("a size");
    std::fs::write(&filler, vec![1; free - 5_000_000]).expect("it fits");
    let before = database.everything().await;
    let ended = project.run("restore --swap").await;
    ended.must_exit(1).must_say("No space left on device");
    assert_eq!(database.everything().await, before);
    let left = database.list(&format!("SELECT datname::text FROM pg_database WHERE datname LIKE '{name}\\_%'")).await;
    assert!(left.is_empty(), "{left:?}");
    std::fs::remove_file(&filler).expect("it is removed");
    database::execute(&beside, &format!("ALTER DATABASE {name} SET TABLESPACE pg_default")).await;
    database.execute(&format!("DROP TABLESPACE small_{name}")).await;
    drop(disk);
}
