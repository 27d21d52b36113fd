//! A database for one test, and short ways to ask it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rehearsal::postgres::identifier::quote;
use rehearsal::target::Target;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};

use crate::server::{PASSWORD_ROLE, server};
use crate::wait::until;

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// What a statement of a test may take, in milliseconds.
const STATEMENT_TIMEOUT: u32 = 60_000;

/// A database of this test alone; dropped when the test is done with it.
pub struct Database {
    name: String,
    target: Target,
}

/// A database that a command has made. It is dropped when the test is done with it, as if the test
/// had made it.
#[must_use]
pub fn of(name: &str) -> Database {
    Database { name: name.to_owned(), target: server().database(name) }
}

impl Database {
    /// Creates an empty one.
    pub async fn create() -> Self {
        Self::create_from(&server().database("postgres"), "template0").await
    }

    /// Creates an empty one on a server that the test has started itself.
    pub async fn create_on(server: &Target) -> Self {
        Self::create_from(server, "template0").await
    }

    /// Creates another one that is the same in all. Nobody may be connected to this one meanwhile.
    pub async fn copy(&self) -> Self {
        until("nobody is connected to the original", async || {
            self.sessions_seen_from_outside().await.eq(&0).then_some(())
        })
        .await;
        Self::create_from(&self.target.with_database("postgres"), &self.name).await
    }

    async fn create_from(maintenance: &Target, template: &str) -> Self {
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(maintenance, &format!("CREATE DATABASE {} TEMPLATE {}", quote(&name), quote(template))).await;
        Self { target: maintenance.with_database(&name), name }
    }

    /// Sessions of any kind, the test's own and those of the server's background included.
    async fn sessions_seen_from_outside(&self) -> i64 {
        let mut connection = connect(&self.target.with_database("postgres")).await;
        let query = sqlx::query("SELECT count(*) FROM pg_stat_activity WHERE datname = $1").bind(&self.name);
        let count = query.fetch_one(&mut connection).await.expect("the sessions are counted").get(0);
        let _ = connection.close().await;
        count
    }

    /// Its superuser on it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, with the superuser of the throwaway server.
    #[must_use]
    pub fn url(&self) -> String {
        self.target.sandbox_url()
    }

    /// Its URL, with another spelling of where the server is.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn url_by_another_way(&self) -> String {
        let url = self.url();
        let other = url.replace("127.0.0.1", "localhost").replace("?host=/", "?host=/./");
        assert_ne!(other, url, "another spelling");
        other
    }

    /// Whether it has that relation.
    pub async fn has(&self, relation: &str) -> bool {
        self.value(&format!("SELECT to_regclass('{relation}') IS NOT NULL")).await
    }

    /// The URL of a role of that name and password, without any right of its own, which is asked for
    /// its password.
    pub async fn role(&self, role: &str, password: &str) -> String {
        self.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE {PASSWORD_ROLE}")).await;
        self.url_of(role, password)
    }

    /// The URL for that user and password, whether they are right or not.
    #[must_use]
    pub fn url_of(&self, user: &str, password: &str) -> String {
        let url = self.url();
        let (_, place) = url.split_once('@').expect("the URL names a user");
        format!("postgres://{user}:{password}@{place}")
    }

    /// A connection, ended by the server when the test forgets it.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.target).await
    }

    /// Runs SQL.
    pub async fn execute(&self, sql: &str) {
        execute(&self.target, sql).await;
    }

    /// The one value of the one row that a query gives.
    pub async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let mut connection = self.connect().await;
        let row: PgRow = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let _ = connection.close().await;
        row.try_get(0).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The first column of every row, as text; NULL is `-`.
    pub async fn list(&self, sql: &str) -> Vec<String> {
        let mut connection = self.connect().await;
        let sql = format!("SELECT coalesce((list.one)::text, '-') FROM ({sql}) AS list(one)");
        let rows = sqlx::query(AssertSqlSafe(sql.clone()))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let _ = connection.close().await;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What sqlx's history says, without the times: `version success checksum description`.
    pub async fn history(&self) -> Vec<String> {
        if self.value::<bool>("SELECT to_regclass('_sqlx_migrations') IS NULL").await {
            return Vec::new();
        }
        let rows = "SELECT concat_ws(' ', version, success, encode(checksum, 'hex'), description) FROM _sqlx_migrations ORDER BY version";
        self.list(rows).await
    }

    /// The versions that the history calls finished.
    pub async fn applied(&self) -> Vec<String> {
        if self.value::<bool>("SELECT to_regclass('_sqlx_migrations') IS NULL").await {
            return Vec::new();
        }
        self.list("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version").await
    }

    /// Everything that a user has made in it, by name and storage, and how many rows each table has:
    /// whoever writes changes this.
    pub async fn everything(&self) -> Vec<String> {
        let objects = "SELECT concat_ws(' ', c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, \
             (SELECT string_agg(concat_ws(':', a.attname, a.atttypid::regtype, a.attnotnull), ',' ORDER BY a.attnum) \
              FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), \
             CASE WHEN c.relkind = 'r' THEN (xpath('//n/text()', query_to_xml( \
                format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname), false, true, '')))[1]::text END) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
             UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' \
             ORDER BY 1";
        self.list(objects).await
    }

    /// Who of the tool is connected, and what is done there.
    pub async fn sessions(&self) -> Vec<String> {
        self.list(
            "SELECT concat_ws(' ', application_name, state, left(query, 60)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
               AND application_name <> 'test'",
        )
        .await
    }

    /// Advisory locks in this database.
    pub async fn advisory_locks(&self) -> i64 {
        self.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let target = self.target.with_database("postgres");
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(&self.name));
        // A drop cannot wait for a future, and this one may run inside of a runtime.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(execute(&target, &drop));
        })
        .join();
        if !std::thread::panicking() {
            dropped.expect("the test's database is dropped");
        }
    }
}

async fn connect(target: &Target) -> PgConnection {
    // The test itself may always write, also where it has forbidden that to everybody.
    let settings =
        [("statement_timeout", STATEMENT_TIMEOUT.to_string()), ("default_transaction_read_only", "off".into())];
    let options = target.connect_options("test").options(settings);
    let options = options.disable_statement_logging();
    tokio::time::timeout(Duration::from_secs(20), options.connect())
        .await
        .expect("the tests' server answers in time")
        .expect("the tests' server lets us in")
}

/// Runs SQL on a target.
///
/// # Panics
/// When the server does not take it.
pub async fn execute(target: &Target, sql: &str) {
    let mut connection = connect(target).await;
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    let _ = connection.close().await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
