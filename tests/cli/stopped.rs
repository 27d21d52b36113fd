//! What tests of stopped runs share: a command with what it is run on, the run after it, what stops one, and files
//! that are not easily stopped.

use rehearsal::target::Target;
use rehearsal_tests::state::{self, Chance};
use rehearsal_tests::{Database, Ended, Project, server, until};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::{all_releases, project};

/// A command, and what it is run on.
pub struct Case {
    pub project: Project,
    pub base: Database,
    pub command: String,
    /// Whether the statement was done whose outcome only somebody who looks can tell.
    pub was_done: Option<&'static str>,
}

impl Case {
    /// The project's newest files, on a database with everything up to `base`.
    pub async fn new(project: Project, base: i64) -> Self {
        Self::on(&server().database("postgres"), project, base).await
    }

    pub async fn on(server: &Target, project: Project, base: i64) -> Self {
        let database = Database::create_on(server).await;
        let project = project.on(&database);
        project.run(&format!("migrate --to {base}")).await.must_exit(0);
        Self { project, base: database, command: "migrate".into(), was_done: None }
    }

    /// What two undisturbed runs do not share, when one of them finds its sequences further on.
    pub async fn chance(&self, first: &Database) -> Chance {
        const FURTHER: &str = "SELECT setval(c.oid, 1000000) FROM pg_class c WHERE relkind = 'S'";
        let second = self.base.copy().await;
        second.execute(FURTHER).await;
        self.project.start_on(&second.url(), &self.command).end().await.must_exit(0);
        state::chance(first, &second).await
    }

    /// The next run. Nothing is waited for before it: a backend of the one before may still be at work.
    pub async fn gone_on(&self, database: &Database) -> Ended {
        let url = database.url();
        let ended = self.project.start_on(&url, &self.command).end().await;
        let Some(was_done) = self.was_done.filter(|_| ended.code == Some(5)) else { return ended };
        let (error, hint) = ended.error();
        assert!(error.contains("whether it was done cannot be told from outside"), "{error}");
        assert!(hint.contains("--unsure done or --unsure not-done"), "{hint}");
        let told = if database.value::<bool>(was_done).await { "done" } else { "not-done" };
        self.project.start_on(&url, &format!("{} --unsure {told}", self.command)).end().await
    }
}

pub async fn terminate(database: &Database) {
    terminate_those(database, "%").await;
}

/// Ends the sessions whose application is called like that.
pub async fn terminate_those(database: &Database, application: &str) {
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name LIKE '{application}'"
    );
    database.execute(&sql).await;
    until("its sessions end", async || database.sessions().await.is_empty().then_some(())).await;
}

/// The backend that we talk to kills itself, which is what an out-of-memory killer does to one: the
/// server ends every session at once, keeps nothing of its memory, and recovers from its log.
pub async fn crash(database: &Database) {
    let (mut connection, mut canary) = (database.connect().await, database.connect().await);
    let ended = connection.execute("COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'").await;
    assert!(ended.is_err(), "the session has ended with its backend");
    // It takes the server a moment to notice.
    until("the server ends the others", async || canary.execute("SELECT 1").await.is_err().then_some(())).await;
    until("the server has recovered", async || {
        let connected = database.target().connect_options("test").connect().await;
        let mut connection = connected.ok()?;
        let answer = connection.execute("SELECT 1").await.ok().map(drop);
        let _ = connection.close().await;
        answer
    })
    .await;
}

/// Small batches, and no hurry where a busy machine is slow.
pub const LIMITS: &str = "
[limits]
batch_rows = 50
run_lock_patience = '60s'
";

/// A table with 300 rows and an index, behind version 1.
pub fn items() -> Project {
    project().write("rehearsal.toml", LIMITS).migration(
        "1_items",
        "CREATE TABLE items (id bigint PRIMARY KEY, name text, n integer NOT NULL DEFAULT 0, at_least bigint);\n\
         INSERT INTO items (id, name) SELECT g * 3, 'item ' || g FROM generate_series(1, 300) g;\n\
         CREATE INDEX items_name ON items (name);\n\
         CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item bigint, what text);\n",
        "DROP TABLE log, items;\n",
    )
}

/// Files of one version each, behind version 1 of [`items`].
pub const ONE_TRANSACTION: &str = "CREATE TABLE more (id bigint PRIMARY KEY REFERENCES items);\n\
    INSERT INTO more SELECT id FROM items;\nALTER TABLE items ADD COLUMN c integer;\n\
    UPDATE items SET c = n + 1, n = n + 1;\nCREATE INDEX items_c ON items (c);\n";

pub const INDEXES: &str = "-- no-transaction\nCREATE INDEX CONCURRENTLY items_n ON items (n);\n\
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS items_unique ON items (lower(name)) INCLUDE (n) WHERE n >= 0;\n\
    CREATE INDEX CONCURRENTLY ON items (at_least);\n";

pub const BATCHES: &str = "-- why\nUPDATE items SET n = n + 10 WHERE /* batch: items.id */ TRUE;\n\
    CREATE INDEX items_n ON items (n);\n\
    DO $$ BEGIN INSERT INTO log (what) VALUES ('; once'); UPDATE items SET n = n + 1; END $$;\n\
    DELETE FROM items WHERE /* batch: items.id */ TRUE AND id % 2 = 0;\nANALYZE items;\n";

pub const MADE_ANEW: &str = "-- no-transaction\nREINDEX INDEX CONCURRENTLY items_name;\n\
    REINDEX TABLE CONCURRENTLY items;\nVACUUM items;\nDROP INDEX CONCURRENTLY items_name;\n";

/// The project with that file.
pub fn with_file(up: &str) -> Project {
    items().migration("2_nasty", up, "SELECT 1;\n")
}

pub fn partitioned() -> Project {
    items()
        .migration(
            "2_parts",
            "CREATE TABLE parts (id bigint NOT NULL) PARTITION BY RANGE (id);\n\
             CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);\n\
             CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);\n\
             INSERT INTO parts SELECT generate_series(0, 19);\n",
            "SELECT 1;",
        )
        .migration(
            "3_nasty",
            "-- no-transaction\nALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY;\nCREATE TABLE after AS TABLE parts_1;\n",
            "SELECT 1;",
        )
}

/// This workspace as it is before a release, with some people in it.
pub async fn before(after: i64, to: i64) -> Case {
    before_on(&server().database("postgres"), after, to).await
}

pub async fn before_on(server: &Target, after: i64, to: i64) -> Case {
    let project = all_releases();
    for check in project.names_in("migrations/checks") {
        project.remove(&format!("migrations/checks/{check}"));
    }
    project.change("rehearsal.toml", LIMITS);
    let database = Database::create_on(server).await;
    let project = project.on(&database);
    for fixture in project.names_in("migrations/fixtures") {
        let version: i64 = fixture.split('_').next().and_then(|number| number.parse().ok()).expect("a version");
        if version > after {
            break;
        }
        project.run(&format!("migrate --to {version}")).await.must_exit(0);
        let sql = std::fs::read_to_string(project.path("migrations/fixtures").join(&fixture)).expect("a fixture");
        database.execute(&format!("SELECT set_config('rehearsal.rows', '120', false);\n{sql}")).await;
    }
    project.run(&format!("migrate --to {after}")).await.must_exit(0);
    Case { project, base: database, command: format!("migrate --to {to}"), was_done: None }
}

/// The releases of this workspace: the version before each, and its own newest.
pub const RELEASES: [(i64, i64); 5] = [(1, 6), (6, 11), (11, 13), (13, 19), (19, 23)];
