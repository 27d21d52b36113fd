//! What a user gets wrong: one clear line, what to do, the right exit code, and nothing changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use rehearsal_tests::forward::Forward;
use rehearsal_tests::{Database, Ended, Project, server, until, words};

use crate::{project, this_workspace};

const SECRET: &str = "hunter2%2Dsecret";
const SECRET_DECODED: &str = "hunter2-secret";

/// Every command that talks to a target.
const COMMANDS: [&str; 8] = [
    "status",
    "plan",
    "migrate",
    "verify",
    "rollback --steps 1",
    "db-backup",
    "rehearse --target dev",
    "restore nothing",
];

/// The two lines, for a snapshot.
fn told(ended: &Ended) -> String {
    let (error, hint) = ended.error();
    format!("{error}\n{hint}")
}

macro_rules! assert_told {
    ($name:expr, $ended:expr) => {
        insta::with_settings!({filters => words::filters()}, { assert_snapshot!($name, told($ended)) })
    };
}

/// Neither shown nor written down anywhere.
fn keeps_the_secret(project: &Project, ended: &Ended) {
    let mut places: BTreeMap<PathBuf, String> = BTreeMap::from([("what it wrote".into(), ended.text())]);
    collect(project.folder(), &mut places);
    for (place, text) in places {
        for secret in [SECRET, SECRET_DECODED] {
            assert!(!text.contains(secret), "`{}`: the password is in {}", ended.words, place.display());
        }
    }
}

fn collect(folder: &Path, into: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            let bytes = std::fs::read(&path).expect("it can be read");
            into.insert(path, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

fn one_table() -> Project {
    project().migration("1_a", "CREATE TABLE a (id int);\n", "DROP TABLE a;\n")
}

#[tokio::test]
async fn no_such_target() {
    for command in COMMANDS.iter().filter(|command| !command.contains("--target")) {
        let ended = one_table().run(&format!("{command} --target nowhere")).await;
        ended.must_exit(2);
        assert_told!("no_such_target", &ended);
    }
    let ended = one_table().run("rehearse --target nowhere").await;
    ended.must_exit(2);
    assert_told!("no_such_target", &ended);
}

#[tokio::test]
async fn no_url() {
    let ended = one_table().run("migrate").await;
    ended.must_exit(2);
    assert_told!("no_url", &ended);
    one_table().variable("DATABASE_URL", "").run("migrate").await.must_exit(2);
}

#[tokio::test]
async fn a_url_that_does_not_parse_is_not_shown() {
    let urls = [
        format!("postgres://me:{SECRET}@host:notaport/db"),
        format!("mysql://me:{SECRET}@host/db"),
        format!("{SECRET}@host/db"),
        format!("postgres://me:{SECRET}@host/db?sslmode=perhaps"),
        format!("postgres:/me:{SECRET}@[::1/db"),
    ];
    for url in &urls {
        for command in COMMANDS {
            let project = one_table().variable("DATABASE_URL", url);
            let ended = project.run(command).await;
            ended.must_exit(2);
            let _ = ended.error();
            keeps_the_secret(&project, &ended);
        }
        let project = one_table().variable("DATABASE_URL", url);
        let ended = project.run("sqlx migrate info").await;
        assert_ne!(ended.code, Some(0), "{}", ended.text());
        keeps_the_secret(&project, &ended);
    }
    let ended = one_table().variable("DATABASE_URL", &urls[0]).run("migrate").await;
    assert_told!("url_that_does_not_parse", &ended);
}

#[tokio::test]
async fn a_broken_dotenv_file_is_not_shown() {
    let project =
        one_table().write(".env", &format!("DATABASE_URL=postgres://me:{SECRET}@host/db\nthis is 'not it {SECRET}\n"));
    let ended = project.run("status").await;
    ended.must_exit(2);
    assert_told!("dotenv", &ended);
    project.change(".env", "");
    keeps_the_secret(&project, &ended);
}

#[tokio::test]
async fn the_server_is_down() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port()
    };
    for command in COMMANDS.iter().filter(|command| !command.starts_with("restore")) {
        let project = one_table().variable("DATABASE_URL", &format!("postgres://me:{SECRET}@127.0.0.1:{port}/db"));
        let ended = project.run(command).await;
        ended.must_exit(4);
        keeps_the_secret(&project, &ended);
        assert!(!project.path("backups").exists(), "{command}");
    }
    let ended = one_table().variable("DATABASE_URL", "postgres://me@localhost/db?host=/nowhere").run("migrate").await;
    ended.must_exit(4);
    assert_told!("server_down", &ended);
}

#[tokio::test]
async fn a_wrong_password() {
    let database = Database::create().await;
    let role = format!("wrong_{}", database.name());
    database.role(&role, "right").await;
    let forward = Forward::open().await;
    let before = database.everything().await;
    for command in COMMANDS.iter().filter(|command| !command.starts_with("restore")) {
        let project = one_table().variable("DATABASE_URL", &forward.url(&role, SECRET, &database));
        let ended = project.run(command).await;
        ended.must_exit(2);
        assert!(ended.error().0.contains("password authentication failed"), "{}", ended.text());
        keeps_the_secret(&project, &ended);
    }
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn a_database_that_is_missing_is_never_created() {
    let database = Database::create().await;
    let missing = format!("{}_missing", database.name());
    for command in COMMANDS.iter().filter(|command| !command.starts_with("restore")) {
        let ended = one_table().variable("DATABASE_URL", &server().database(&missing).sandbox_url()).run(command).await;
        ended.must_exit(2);
        assert!(
            ended.error().0.ends_with(&format!("database \"{missing}\" does not exist (3D000)")),
            "{}",
            ended.text()
        );
    }
    let found: i64 = database.value(&format!("SELECT count(*) FROM pg_database WHERE datname = '{missing}'")).await;
    assert_eq!(found, 0);
}

#[tokio::test]
async fn not_enough_privilege_is_found_before_anything_is_done() {
    let database = Database::create().await;
    let role = format!("guest_{}", database.name());
    let url = database.role(&role, "guest").await;
    let before = database.everything().await;
    // An empty database, in which the role may create nothing.
    let guest = one_table().variable("DATABASE_URL", &url);
    let ended = guest.run("migrate").await;
    ended.must_exit(3);
    assert_eq!(ended.steps(), ["preflight refused"]);
    insta::with_settings!({filters => [(role.as_str(), "[ROLE]")]}, {
        assert_snapshot!("no_create_privilege", ended.error().0);
    });
    assert_eq!(database.everything().await, before);
    // A table of somebody else's.
    let owner = one_table().on(&database);
    owner.run("migrate").await.must_exit(0);
    let before = database.everything().await;
    let guest = guest.migration("2_b", "ALTER TABLE a ADD COLUMN b int;", "ALTER TABLE a DROP COLUMN b;");
    let ended = guest.run("migrate").await;
    ended.must_exit(3);
    insta::with_settings!({filters => [(role.as_str(), "[ROLE]")]}, { assert_snapshot!("no_read_privilege", told(&ended)) });
    database
        .execute(&format!("GRANT SELECT ON _sqlx_migrations TO {role}; GRANT CREATE ON SCHEMA public TO {role}"))
        .await;
    let ended = guest.run("migrate").await;
    ended.must_exit(3);
    insta::with_settings!({filters => [(role.as_str(), "[ROLE]")]}, {
        assert_snapshot!("not_the_owner", ended.error().0);
    });
    assert_eq!(database.everything().await, before);
    // A backup that would lack what the role may not read is none.
    let ended = guest.run("db-backup").await;
    assert!(matches!(ended.code, Some(1 | 3)), "{}", ended.text());
    assert!(ended.error().1.contains("pg_read_all_data"), "{}", ended.text());
    assert!(guest.names_in("backups/dev").is_empty());
    database.execute(&format!("DROP OWNED BY {role}")).await;
}

#[tokio::test]
async fn no_migrations_folder() {
    let database = Database::create().await;
    let project = project().write("rehearsal.toml", "migrations = 'db/migrations'").on(&database);
    for command in ["status", "plan", "migrate", "verify", "rollback", "rehearse", "rehearse --target dev"] {
        let ended = project.run(command).await;
        ended.must_exit(2);
        assert_told!("no_migrations_folder", &ended);
    }
    assert!(database.history().await.is_empty());
}

/// A file that does not fit what is applied: nothing goes on until that is settled.
async fn refuses_everything(project: &Project, database: &Database, name: &str) {
    let before = database.everything().await;
    for command in ["plan", "migrate", "verify", "rollback"] {
        let ended = project.run(command).await;
        ended.must_exit(3);
        assert_told!(name, &ended);
    }
    project.run("rehearse --target dev").await.must_exit(3);
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn a_file_that_was_edited() {
    let database = Database::create().await;
    let project = project().items(5).on(&database);
    project.run("migrate --to 2").await.must_exit(0);
    project.change("migrations/2_raise.up.sql", "SELECT 2;\n");
    refuses_everything(&project, &database, "edited").await;
    project.run("status").await.must_exit(0).must_say("edited");
}

#[tokio::test]
async fn line_ends_alone_are_no_edit() {
    let database = Database::create().await;
    let project = one_table().on(&database);
    project.run("migrate").await.must_exit(0);
    project.change("migrations/1_a.up.sql", "CREATE TABLE a (id int);\r\n");
    let project = project.migration("2_b", "CREATE TABLE b (id int);", "DROP TABLE b;");
    project.run("migrate").await.must_exit(0).must_say("differs from what was applied in its line ends only");
    assert_eq!(database.applied().await, ["1", "2"]);
}

#[tokio::test]
async fn a_file_that_is_missing() {
    let database = Database::create().await;
    let project = project().items(5).on(&database);
    project.run("migrate --to 2").await.must_exit(0);
    project.remove("migrations/2_raise.up.sql");
    project.remove("migrations/2_raise.down.sql");
    refuses_everything(&project, &database, "missing_file").await;
    project.run("status").await.must_exit(0).must_say("no file");
}

#[tokio::test]
async fn an_older_version_that_comes_late() {
    let database = Database::create().await;
    let project = project().migration("5_five", "CREATE TABLE five (id int);", "DROP TABLE five;").on(&database);
    project.run("migrate").await.must_exit(0);
    let before = database.everything().await;
    let project = project.migration("4_four", "CREATE TABLE four (id int);", "DROP TABLE four;");
    let ended = project.run("migrate").await;
    ended.must_exit(3);
    assert_told!("out_of_order", &ended);
    assert_eq!(database.everything().await, before);
}

#[tokio::test]
async fn two_files_with_one_version() {
    let database = Database::create().await;
    let project = one_table().write("migrations/0001_b.up.sql", "SELECT 1;").on(&database);
    for command in ["status", "plan", "migrate", "rehearse"] {
        let ended = project.run(command).await;
        ended.must_exit(2);
        assert_told!("two_files", &ended);
    }
    assert!(database.history().await.is_empty());
}

#[tokio::test]
async fn a_down_without_an_up() {
    let database = Database::create().await;
    let project = one_table().write("migrations/2_b.down.sql", "SELECT 1;").on(&database);
    for command in ["status", "plan", "migrate", "rehearse"] {
        let ended = project.run(command).await;
        ended.must_exit(2);
        assert_told!("down_without_up", &ended);
    }
    assert!(database.history().await.is_empty());
}

#[tokio::test]
async fn invalid_sql_is_shown_at_its_place_in_the_users_file() {
    for (name, sql, place) in [
        ("unknown_column", "CREATE TABLE b (id int);\n\n-- a comment\nUPDATE b\n   SET idd = 1;\n", "2_b.up.sql:5:8: "),
        ("syntax", "CREATE TABLE b (id int);\nCREATE TABEL c (id int);\n", "2_b.up.sql:2:8: "),
        ("duplicates", "INSERT INTO a VALUES (1), (1);\nCREATE UNIQUE INDEX ON a (id);\n", "2_b.up.sql:2:1: "),
        ("umlauts", "SELECT 'äöü€', nowhere;\n", "2_b.up.sql:1:16: "),
        ("in_a_function", "DO $$ BEGIN\n  PERFORM 1/0;\nEND $$;\n", "2_b.up.sql:2:3: "),
    ] {
        let database = Database::create().await;
        let project = one_table().migration("2_b", sql, "SELECT 1;").on(&database);
        project.run("migrate --to 1").await.must_exit(0);
        let before = database.everything().await;
        let ended = project.run("migrate").await;
        ended.must_exit(1);
        assert!(ended.error().0.starts_with(&format!("migrations/{place}")), "{name}: {}", ended.error().0);
        assert_told!(format!("sql_{name}"), &ended);
        assert_eq!(database.everything().await, before, "{name}");
        assert_eq!(database.applied().await, ["1"], "{name}");
        // The same file in a rehearsal.
        project.run("rehearse").await.must_exit(1).must_say(place);
    }
}

#[tokio::test]
async fn what_cannot_be_part_of_a_migration() {
    let database = Database::create().await;
    let before = database.everything().await;
    for (name, sql) in [
        ("commit", "CREATE TABLE a (id int);\nCOMMIT;\nSELECT nothing;\n"),
        // The parser does not understand the first line, and it is found all the same.
        (
            "commit_unparsed",
            "CREATE TABEL a (id int);\nCREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;\nend;\n",
        ),
        ("set_transaction", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n"),
        ("savepoint", "-- no-transaction\nCREATE TABLE a (id int);\nSAVEPOINT s;\n"),
        ("role", "-- no-transaction\nSELECT 1;\nSET ROLE somebody;\n"),
        ("discard", "SELECT 1;\nDISCARD ALL;\n"),
        ("limit_unparsed", "SET LOCAL lock_timeout = 0;\nCREATE TABEL a (id int);\n"),
        ("batch_unparsed", "CREATE TABEL a (id int);\nUPDATE a SET id = 1 WHERE /* batch: a.id */ TRUE;\n"),
        ("copy", "CREATE TABLE a (id int);\nCOPY a FROM stdin;\n1\tit's\n\\.\n"),
        ("copy_out", "COPY (SELECT 1) TO STDOUT;\n"),
        ("psql_include", "CREATE TABLE a (id int);\r\n\\i other.sql\r\n"),
        ("psql_set", "\\set ON_ERROR_STOP on\nCREATE TABLE a (id int);\n"),
        ("psql_copy", "CREATE TABLE a (id int);\n\\copy a from 'a.csv'\n"),
        ("psql_connect", "\\connect other\n"),
        ("psql_gexec", "SELECT 'DROP TABLE a' \\gexec\n"),
    ] {
        let project = project().migration("1_a", sql, "DROP TABLE a;").on(&database);
        for command in ["plan", "migrate", "rehearse"] {
            let ended = project.run(command).await;
            ended.must_exit(2);
            assert_told!(format!("unsupported_{name}"), &ended);
        }
        assert_eq!(database.everything().await, before);
    }
}

#[tokio::test]
async fn what_only_looks_like_that_is_fine() {
    let database = Database::create().await;
    let sql = "DO $$\nBEGIN\n  PERFORM 1;\nEND $$;\n\
               CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\n SELECT 1;\n SELECT CASE WHEN true THEN 2 END;\nEND;\n\
               CREATE TABLE a (\"commit\" text DEFAULT E'\\\\i', \"end\" text DEFAULT $x$\n\\copy\nCOMMIT;\n$x$);\n\
               INSERT INTO a VALUES ('\n\\set x\nCOPY a FROM stdin;\n');\n-- \\i\n/* COMMIT; \\. */\n";
    let project = project().migration("1_a", sql, "DROP TABLE a; DROP FUNCTION f();").on(&database);
    project.run("migrate").await.must_exit(0);
    project.run("rollback").await.must_exit(0);
}

#[tokio::test]
async fn a_check_that_fails() {
    let database = Database::create().await;
    let project = one_table()
        .write("migrations/checks/a.sql", "-- check: a-has-rows\n-- expect: rows\n-- since: 1\nSELECT * FROM a\n")
        .on(&database);
    project.run("migrate").await.must_exit(0);
    let before = database.everything().await;
    let ended = project.run("verify").await;
    ended.must_exit(3).must_say("✗ a-has-rows — expected rows, found no rows [migrations/checks/a.sql:1]");
    assert_told!("failing_check", &ended);
    assert_eq!(ended.record()["steps"][0]["checks"][0]["outcome"], "failed");
    assert_eq!(database.everything().await, before);
    let quiet = project.run("verify --quiet").await;
    quiet.must_exit(3).must_say("a-has-rows");
    let _ = project.run("rehearse").await.must_exit(3).error();
}

#[tokio::test]
async fn files_of_ours_that_cannot_be_read() {
    let database = Database::create().await;
    for (name, file, text) in [
        ("config_key", "rehearsal.toml", "[targets.dev]\nurl = 'postgres://x'\n"),
        ("config_syntax", "rehearsal.toml", "[targets.dev\n"),
        ("check_header", "migrations/checks/a.sql", "-- check: a\n-- expect: perhaps\nSELECT 1\n"),
        ("release_turned_round", "rehearsal.toml", "[[releases]]\nname = 'R'\nafter = 3\nto = 1\n"),
        (
            "release_expand_outside",
            "rehearsal.toml",
            "[[releases]]\nname = 'R'\nafter = 0\nto = 1\n\n[[releases]]\nname = 'S'\nafter = 1\nexpand = 4\nto = 3\n",
        ),
    ] {
        let project = one_table().write(file, text).on(&database);
        let ended = project.run("migrate").await;
        ended.must_exit(2);
        assert_told!(name, &ended);
    }
    let ended = one_table().run("rehearse --release R9").await;
    ended.must_exit(2);
    assert_told!("no_such_release", &ended);
    one_table().on(&database).run("migrate --config nowhere.toml").await.must_exit(2);
    let ended = one_table().on(&database).run("migrate --to 7").await;
    ended.must_exit(2);
    assert_told!("no_such_version", &ended);
    let ended = one_table().on(&database).run("rollback --steps 3").await;
    ended.must_exit(2);
    assert_told!("too_many_steps", &ended);
    assert!(database.history().await.is_empty());
}

/// The password of a target that works: nowhere in what is shown, in what is written, or in the
/// process list, while pg_dump and pg_restore run.
#[tokio::test]
async fn a_right_password_shows_nowhere() {
    let database = Database::create().await;
    let role = format!("owner_{}", database.name());
    database.role(&role, SECRET_DECODED).await;
    database
        .execute(&format!("GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON DATABASE {} TO {role}", database.name()))
        .await;
    let forward = Forward::open().await;
    let project = this_workspace().variable("DATABASE_URL", &forward.url(&role, SECRET, &database));
    for words in [
        "migrate --to 1",
        "rehearse --target dev",
        "migrate",
        "verify -v",
        "db-backup --json",
        "sqlx migrate info",
        "rollback",
    ] {
        let mut running = project.start(words);
        let mut seen = 0;
        until("the command ends", async || {
            for process in std::fs::read_dir("/proc").expect("the processes").filter_map(Result::ok) {
                let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                let words = String::from_utf8_lossy(&words);
                assert!(
                    !words.contains(SECRET) && !words.contains(SECRET_DECODED),
                    "the password is in a process list: {words}"
                );
                seen += 1;
            }
            running.has_ended().then_some(())
        })
        .await;
        assert!(seen > 0, "the process list was looked at");
        let ended = running.end().await;
        ended.must_exit(0);
        keeps_the_secret(&project, &ended);
        project.must_be_clean_after(&ended).await;
    }
    database.execute(&format!("REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}")).await;
}

/// The server's words for it hold a whole row; records and logs are read by others.
#[tokio::test]
async fn a_row_that_does_not_fit_is_told_nowhere() {
    let database = Database::create().await;
    let project = project()
        .migration(
            "1_a",
            "CREATE TABLE a (id int, email text NOT NULL);\nINSERT INTO a VALUES (1, 'geheim');\n",
            "DROP TABLE a;\n",
        )
        .migration(
            "2_b",
            "UPDATE a SET id = NULL;\nALTER TABLE a ADD CHECK (id > 0), ALTER COLUMN id SET NOT NULL;\n",
            "SELECT 1;\n",
        )
        .migration("3_c", "ALTER TABLE a ADD COLUMN n int CHECK (n > 0);\nUPDATE a SET n = -id;\n", "SELECT 1;\n")
        .on(&database);
    project.run("migrate --to 1").await.must_exit(0);
    for last in ["2", "3"] {
        if last == "3" {
            project.change("migrations/2_b.up.sql", "SELECT 1;\n");
        }
        let ended = project.run(&format!("migrate --to {last}")).await;
        ended.must_exit(1).must_say("some rows do not follow it");
        assert!(!ended.text().contains("geheim"), "{}", ended.text());
        let record = ended.record().to_string();
        assert!(!record.contains("Failing row"), "{record}");
    }
}

/// What stands in the way is named, and nobody is told to drop all of it unseen.
#[tokio::test]
async fn what_depends_on_it_is_named() {
    let database = Database::create().await;
    let project = project()
        .migration(
            "1_a",
            "CREATE TABLE a (id int);\nCREATE VIEW v AS SELECT id FROM a;\n",
            "DROP VIEW v;\nDROP TABLE a;\n",
        )
        .migration("2_b", "DROP TABLE a;\n", "CREATE TABLE a (id int);\n")
        .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(1);
    let hint = ended.error().1;
    assert!(hint.contains("view v depends on table a") && hint.contains("CASCADE would drop all of it"), "{hint}");
}
