//! `restore --clean`: a database's contents give way to a backup's, where it can neither be renamed nor another one made.
//! Whatever stops it, it holds all of the one or all of the other.

use rehearsal::backup::manifest::Manifest;
use rehearsal_tests::gate::{Gate, Moment};
use rehearsal_tests::{Database, Project, until};
use rustix::process::Signal;

use crate::project;

/// With this, contents begin to give way.
const FROM: &str = "LOCK TABLE";

/// With this, what the backup has begins to come.
const MADE: &str = "CREATE TABLE app.notes";

/// A database of a role that may make no other, with a backup, and with rows and objects that came since.
struct Owned {
    database: Database,
    project: Project,
    role: String,
}

impl Owned {
    async fn create() -> Self {
        let database = Database::create().await;
        let role = format!("owner_{}", database.name());
        let url = database.role(&role, "owner").await;
        database.execute(&format!("CREATE EXTENSION citext; ALTER DATABASE {} OWNER TO {role}", database.name())).await;
        let project = project().items(200).variable("DATABASE_URL", &url);
        let owned = Self { database, project, role };
        owned.project.run("migrate --to 2").await.must_exit(0);
        owned
            .run(
                "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('calm'); CREATE VIEW app.cheap AS SELECT * FROM items WHERE n < 5; \
                 CREATE TABLE app.notes (id serial PRIMARY KEY, t citext, m app.mood); \
                 INSERT INTO app.notes (t, m) SELECT 'Note ' || g, 'calm' FROM generate_series(1, 9) g; \
                 CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) AS n FROM items; ",
            )
            .await;
        owned.project.run("db-backup").await.must_exit(0);
        owned.project.run("migrate").await.must_exit(0);
        owned
            .run(
                "INSERT INTO items VALUES (1000000, 'late', 10); CREATE SCHEMA later; CREATE TABLE later.t AS SELECT 1 AS id; \
                 CREATE FUNCTION later.f(app.mood) RETURNS app.mood LANGUAGE sql AS 'SELECT $1'; \
                 CREATE FUNCTION later.g(app.mood, app.mood) RETURNS app.mood LANGUAGE sql AS 'SELECT $2'; \
                 CREATE AGGREGATE later.newest(app.mood) (sfunc = later.g, stype = app.mood)",
            )
            .await;
        owned
    }

    /// As the owner of all.
    async fn run(&self, sql: &str) {
        self.database.execute(&format!("SET ROLE {}; {sql}", self.role)).await;
    }

    fn url_through(&self, gate: &Gate) -> String {
        let url = gate.url(self.database.target());
        let (_, place) = url.split_once('@').expect("the URL names a user");
        format!("postgres://{}:owner@{place}", self.role)
    }

    async fn is_late(&self) -> bool {
        self.database.value("SELECT EXISTS (SELECT FROM items WHERE name = 'late')").await
    }

    async fn nobody_is_there(&self) {
        until("nobody is there", async || self.database.sessions().await.is_empty().then_some(())).await;
    }

    async fn end(self) {
        let name = self.database.name();
        self.database
            .execute(&format!("ALTER DATABASE {name} OWNER TO CURRENT_USER; DROP OWNED BY {} CASCADE", self.role))
            .await;
    }
}

#[tokio::test]
async fn what_was_there_is_in_a_backup() {
    let owned = Owned::create().await;
    let ended = owned.project.run("restore --clean").await;
    ended
        .must_exit(0)
        .must_say("public.items: at least 1 row inserted (200 then, 201 now)")
        .must_say("later.t: made since");
    assert_eq!(ended.steps(), ["backup done", "restore done"]);
    assert!(!owned.is_late().await);
    assert_eq!(owned.database.applied().await, ["1", "2"]);
    let relations = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname IN ('app', 'later') ORDER BY 1";
    assert_eq!(
        owned.database.list(relations).await,
        ["app.cheap", "app.counted", "app.notes", "app.notes_id_seq", "app.notes_pkey"]
    );
    assert_eq!(owned.database.value::<i64>("SELECT n FROM app.counted").await, 200);
    assert_eq!(owned.database.value::<i64>("SELECT nextval('app.notes_id_seq')").await, 10);
    assert_eq!(owned.database.value::<i64>("SELECT count(*) FROM app.notes WHERE t = 'NOTE 3'").await, 1);
    let backups = owned.project.names_in("backups/dev");
    assert_eq!(backups.len(), 2, "{backups:?}");
    let copy = Manifest::read(&owned.project.path(&format!("backups/dev/{}", backups[1]))).expect("a manifest");
    assert!(copy.is_proven());
    let items = copy.tables.iter().find(|table| table.name.name == "items").expect("items");
    assert_eq!(items.rows, 201, "what was written since is in it");
    // It leads there again.
    owned.project.run(&format!("restore {} --clean", backups[1])).await.must_exit(0);
    assert!(owned.is_late().await);
    assert_eq!(owned.database.value::<i32>("SELECT id FROM later.t").await, 1);
    owned.end().await;
}

/// Where a swap may be, and while somebody is in it, nothing is touched.
#[tokio::test]
async fn only_where_nothing_else_may_be() {
    let owned = Owned::create().await;
    let before = owned.database.everything().await;
    let ended = owned.project.start_on(&owned.database.url(), "restore --clean").end().await;
    ended.must_exit(3);
    assert!(ended.error().1.contains("--swap"), "{:?}", ended.error());
    let client = owned.database.connect().await;
    let ended = owned.project.run("restore --clean").await;
    ended.must_exit(4);
    assert!(ended.error().0.contains("in use, by 1 client"), "{:?}", ended.error());
    drop(client);
    owned.project.change("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\nprotected = true\n");
    until("the client is gone", async || {
        let ended = owned.project.run("restore --clean").await;
        (ended.code == Some(3)).then(|| assert!(ended.error().1.contains("--yes"), "{:?}", ended.error()))
    })
    .await;
    owned.database.execute("SELECT lo_create(7)").await;
    owned.project.run("restore --clean --yes").await.must_exit(3).must_say("there are large objects in it");
    assert_eq!(owned.database.everything().await, before);
    owned.end().await;
}

/// What is written between the copy and the lock would be in neither.
#[tokio::test]
async fn written_behind_the_copy() {
    let owned = Owned::create().await;
    let gate = Gate::shut_at(owned.database.target(), FROM, 1, Moment::Before).await;
    let running = owned.project.start_on(&owned.url_through(&gate), "restore --clean");
    gate.has_shut().await;
    owned.run("UPDATE items SET name = 'later' WHERE name = 'late'").await;
    gate.open_again();
    let ended = running.end().await;
    ended.must_exit(4);
    assert!(ended.error().0.contains("public.items: 201 rows, but not with the same contents"), "{}", ended.text());
    assert_eq!(owned.database.value::<i64>("SELECT count(*) FROM items WHERE name = 'later'").await, 1);
    owned.end().await;
}

/// SIGKILL and Ctrl-C at its round trips, from the lock to the commit.
#[tokio::test]
async fn stopped_anywhere() {
    let owned = Owned::create().await;
    let backup = owned.project.names_in("backups/dev").pop().expect("a backup");
    let command = format!("restore {backup} --clean");
    // What goes differs from run to run; from the dump's statements on it is the same.
    let gate = Gate::open(owned.database.target(), MADE).await;
    owned.project.start_on(&owned.url_through(&gate), &command).end().await.must_exit(0);
    let all = gate.seen();
    drop(gate);
    owned.run("INSERT INTO items VALUES (1000000, 'late', 10)").await;
    owned.nobody_is_there().await;
    let before = owned.database.everything().await;
    let commit = 1 + all.iter().position(|sql| sql.starts_with("COMMIT")).expect("it commits");
    for (from, place, moment, signal) in [
        (FROM, 1, Moment::After, Signal::KILL),
        (MADE, 1, Moment::During, Signal::KILL),
        (MADE, commit / 2, Moment::During, Signal::INT),
        (MADE, commit - 1, Moment::After, Signal::KILL),
        (MADE, commit, Moment::Before, Signal::KILL),
    ] {
        let at = format!("round trip {place} from {from} of {}, {moment:?}", all.len());
        let gate = Gate::shut_at(owned.database.target(), from, place, moment).await;
        let running = owned.project.start_on(&owned.url_through(&gate), &command);
        gate.has_shut().await;
        running.signal(signal);
        if signal == Signal::INT {
            gate.open_again();
        }
        let ended = running.end().await;
        assert_eq!(ended.code, (signal == Signal::INT).then_some(130), "{at}\n{}", ended.text());
        drop(gate);
        owned.nobody_is_there().await;
        assert_eq!(owned.database.everything().await, before, "{at}");
    }
    owned.project.run("restore --clean").await.must_exit(0);
    assert!(owned.is_late().await, "the newest backup is the one of what was there");
    owned.end().await;
}
