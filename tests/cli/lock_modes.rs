//! What `plan` says of locks, against what PostgreSQL does: each statement is planned, then run, and its locks
//! are read from `pg_locks`.

use std::collections::BTreeMap;

use rehearsal_tests::{Database, until};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::project;

/// What the statements are about.
const SETUP: &str = "
CREATE TABLE parent (id bigint PRIMARY KEY, n int);
CREATE TABLE t (id bigint PRIMARY KEY, parent_id bigint, name varchar(10), n int, g text, free int);
CREATE TABLE u (id bigint PRIMARY KEY, t_id bigint CONSTRAINT u_fk REFERENCES t (id), n int CONSTRAINT u_n CHECK (n > 0));
ALTER TABLE u ADD CONSTRAINT u_not_valid CHECK (n < 100) NOT VALID;
ALTER TABLE u ADD CONSTRAINT u_parent FOREIGN KEY (id) REFERENCES parent (id) NOT VALID;
CREATE INDEX t_n ON t (n);
CREATE UNIQUE INDEX t_both ON t (id, n);
CREATE VIEW v AS SELECT id FROM t;
CREATE MATERIALIZED VIEW mv AS SELECT id, n FROM t;
CREATE UNIQUE INDEX mv_id ON mv (id);
CREATE TABLE part (id bigint, d int) PARTITION BY RANGE (d);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 (id bigint, d int);
CREATE SEQUENCE s OWNED BY t.id;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE RULE ru AS ON INSERT TO part_2 DO ALSO NOTHING;
CREATE POLICY po ON t USING (true);
CREATE TYPE e AS ENUM ('a');
ALTER TABLE t CLUSTER ON t_n;
CREATE STATISTICS st ON id, n FROM t;
CREATE SCHEMA other;
";

/// One of each kind that can be in a transaction.
const STATEMENTS: &[&str] = &[
    "SELECT * FROM t JOIN u ON true",
    "SELECT * FROM t FOR UPDATE",
    "WITH t AS (SELECT 1 AS id) SELECT * FROM u JOIN t USING (id)",
    "INSERT INTO t (id) VALUES (1)",
    "INSERT INTO part_2 (id) SELECT id FROM u",
    "UPDATE t SET free = 1",
    "UPDATE t SET free = u.n FROM u WHERE u.id = t.id",
    "DELETE FROM u USING parent WHERE u.id = parent.id",
    "WITH gone AS (DELETE FROM u RETURNING id) INSERT INTO part_2 (id) SELECT id FROM gone",
    "MERGE INTO u USING parent ON u.id = parent.id WHEN MATCHED THEN DELETE",
    "COPY t TO '/dev/null'",
    "COPY t FROM '/dev/null'",
    "TRUNCATE u",
    "TRUNCATE TABLE t, u",
    "LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE",
    "LOCK t",
    "CREATE INDEX ON t (g)",
    "DROP INDEX t_n",
    "REINDEX INDEX t_n",
    "REINDEX TABLE t",
    "ALTER INDEX t_n RENAME TO t_m",
    "ALTER INDEX t_n SET (fillfactor = 50)",
    "CLUSTER t",
    "CLUSTER t USING t_n",
    "ANALYZE t",
    "CREATE STATISTICS st2 ON id, n FROM t",
    "COMMENT ON TABLE t IS 'x'",
    "COMMENT ON COLUMN t.n IS 'x'",
    "COMMENT ON CONSTRAINT u_n ON u IS 'x'",
    "COMMENT ON TRIGGER tr ON t IS 'x'",
    "COMMENT ON POLICY po ON t IS 'x'",
    "COMMENT ON VIEW v IS 'x'",
    "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE OR REPLACE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "DROP TRIGGER tr ON t",
    "ALTER TRIGGER tr ON t RENAME TO trr",
    "CREATE RULE x AS ON UPDATE TO t DO ALSO NOTHING",
    "DROP RULE ru ON part_2",
    "CREATE POLICY x ON t USING (true)",
    "ALTER POLICY po ON t USING (false)",
    "DROP POLICY po ON t",
    "GRANT SELECT ON t TO PUBLIC",
    "CREATE TABLE x1 (id bigint REFERENCES t (id))",
    "CREATE TABLE x2 (id bigint, FOREIGN KEY (id) REFERENCES public.t (id))",
    "CREATE TABLE x3 (LIKE t)",
    "CREATE TABLE x4 () INHERITS (t)",
    "CREATE TABLE x5 PARTITION OF part FOR VALUES FROM (10) TO (20)",
    "CREATE TABLE x6 AS SELECT * FROM t",
    "SELECT * INTO x7 FROM t",
    "CREATE VIEW x8 AS SELECT * FROM t",
    "CREATE OR REPLACE VIEW v AS SELECT id FROM t",
    "CREATE MATERIALIZED VIEW x9 AS SELECT * FROM t",
    "REFRESH MATERIALIZED VIEW mv",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY mv",
    "DROP VIEW v",
    "DROP MATERIALIZED VIEW mv",
    "DROP TABLE u",
    "DROP TABLE part_1",
    "DROP TABLE part, part_2",
    "DROP SEQUENCE s",
    "ALTER SEQUENCE s RESTART",
    "ALTER SEQUENCE s RENAME TO ss",
    "ALTER SEQUENCE s OWNED BY t.n",
    "CREATE SEQUENCE x10 OWNED BY t.id",
    "ALTER VIEW v RENAME TO vv",
    "ALTER MATERIALIZED VIEW mv RENAME TO mw",
    "ALTER TABLE t ADD COLUMN x int",
    "ALTER TABLE t ADD COLUMN x bigint REFERENCES parent (id)",
    "ALTER TABLE t DROP COLUMN free",
    "ALTER TABLE u DROP COLUMN t_id",
    "ALTER TABLE t ALTER free TYPE bigint",
    "ALTER TABLE t ALTER n SET DEFAULT 1",
    "ALTER TABLE t ALTER free SET NOT NULL",
    "ALTER TABLE t ALTER n DROP NOT NULL",
    "ALTER TABLE t ALTER n SET STATISTICS 10",
    "ALTER TABLE t ALTER n SET (n_distinct = 5)",
    "ALTER TABLE t ALTER n RESET (n_distinct)",
    "ALTER TABLE t ALTER g SET STORAGE EXTERNAL",
    "ALTER TABLE t ALTER n SET STATISTICS 10, ALTER g SET DEFAULT 'x'",
    "ALTER TABLE t ADD CONSTRAINT x CHECK (n > 0) NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT x UNIQUE (n)",
    "ALTER TABLE t ADD CONSTRAINT x UNIQUE USING INDEX t_both",
    "ALTER TABLE part_2 ADD PRIMARY KEY (id)",
    "ALTER TABLE t ADD FOREIGN KEY (parent_id) REFERENCES parent (id)",
    "ALTER TABLE t ADD FOREIGN KEY (parent_id) REFERENCES parent (id) NOT VALID",
    "ALTER TABLE u VALIDATE CONSTRAINT u_not_valid",
    "ALTER TABLE u VALIDATE CONSTRAINT u_parent",
    "ALTER TABLE u ALTER CONSTRAINT u_fk DEFERRABLE",
    "ALTER TABLE u DROP CONSTRAINT u_fk",
    "ALTER TABLE u DROP CONSTRAINT u_n",
    "ALTER TABLE u RENAME CONSTRAINT u_n TO u_m",
    "ALTER TABLE t RENAME TO tt",
    "ALTER TABLE t RENAME n TO m",
    "ALTER TABLE part_2 SET SCHEMA other",
    "ALTER TABLE t OWNER TO CURRENT_USER",
    "ALTER TABLE t SET (fillfactor = 50, autovacuum_enabled = false)",
    "ALTER TABLE t RESET (fillfactor)",
    "ALTER TABLE t SET (user_catalog_table = true)",
    "ALTER TABLE t CLUSTER ON t_n",
    "ALTER TABLE t SET WITHOUT CLUSTER",
    "ALTER TABLE t DISABLE TRIGGER tr",
    "ALTER TABLE t ENABLE ALWAYS TRIGGER tr",
    "ALTER TABLE part_2 DISABLE RULE ru",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE t REPLICA IDENTITY FULL",
    "ALTER TABLE part_2 SET UNLOGGED",
    "ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE part DETACH PARTITION part_1",
    "ALTER TYPE e ADD VALUE 'b'",
];

/// Those that cannot, and what they wait for while somebody else has the table.
const OUTSIDE: &[(&str, &str)] = &[
    ("CREATE INDEX CONCURRENTLY x ON t (g)", "t"),
    ("DROP INDEX CONCURRENTLY t_n", "t"),
    ("REINDEX INDEX CONCURRENTLY t_n", "t"),
    ("REINDEX TABLE CONCURRENTLY t", "t"),
    ("VACUUM t", "t"),
    ("VACUUM (ANALYZE) t", "t"),
    ("VACUUM FULL t", "t"),
    ("VACUUM (FULL) t", "t"),
    ("ALTER TABLE part DETACH PARTITION part_1 CONCURRENTLY", "part"),
];

const HELD: &str = "
SELECT known.name, lock.mode FROM pg_locks AS lock JOIN known ON known.oid = lock.relation
WHERE lock.pid = pg_backend_pid() AND lock.locktype = 'relation'";

/// The modes, the weakest first, as plans write them and as `pg_locks` does.
const MODES: [(&str, &str); 8] = [
    ("access-share", "AccessShareLock"),
    ("row-share", "RowShareLock"),
    ("row-exclusive", "RowExclusiveLock"),
    ("share-update-exclusive", "ShareUpdateExclusiveLock"),
    ("share", "ShareLock"),
    ("share-row-exclusive", "ShareRowExclusiveLock"),
    ("exclusive", "ExclusiveLock"),
    ("access-exclusive", "AccessExclusiveLock"),
];

fn strength(mode: &str) -> usize {
    MODES
        .iter()
        .position(|(plan, server)| mode == *plan || mode == *server)
        .unwrap_or_else(|| panic!("the mode {mode}"))
}

/// What `plan --json` says of each statement.
async fn planned(database: &Database, statements: &[&str]) -> Vec<Value> {
    let mut project = project().on(database);
    for (index, statement) in statements.iter().enumerate() {
        project = project.write(&format!("migrations/{}_m.up.sql", index + 1), &format!("{statement};\n"));
    }
    let plan: Value = serde_json::from_str(&project.run("plan --json").await.must_exit(0).stdout).expect("JSON");
    let files = plan["files"].as_array().expect("files").clone();
    assert_eq!(files.len(), statements.len());
    files.into_iter().map(|file| file["statements"][0].clone()).collect()
}

/// The strongest lock that is foreseen on each relation that is there already, indexes aside.
fn foreseen(statement: &Value) -> BTreeMap<String, usize> {
    let relations = ["parent", "t", "u", "v", "mv", "part", "part_1", "part_2", "s"];
    let mut locks = BTreeMap::new();
    for lock in statement["locks"].as_array().expect("locks") {
        let name = lock["relation"].as_str().expect("a name").trim_start_matches("public.").to_owned();
        let mode = strength(lock["mode"].as_str().expect("a mode"));
        if relations.contains(&name.as_str()) {
            locks.entry(name).and_modify(|other: &mut usize| *other = mode.max(*other)).or_insert(mode);
        }
    }
    locks
}

#[tokio::test]
async fn what_is_foreseen_is_what_the_server_does() {
    let database = Database::create().await;
    database.execute(SETUP).await;
    let planned = planned(&database, STATEMENTS).await;
    let mut connection = database.connect().await;
    connection
        .execute(
            "CREATE TEMP TABLE known AS SELECT oid, relname::text AS name FROM pg_class \
             WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'I')",
        )
        .await
        .expect("the relations are listed");
    let mut wrong = Vec::new();
    for (sql, statement) in STATEMENTS.iter().zip(&planned) {
        connection.execute("BEGIN").await.expect("begins");
        connection.execute(sqlx::raw_sql(*sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for row in sqlx::query(HELD).fetch_all(&mut connection).await.expect("the locks are read") {
            let mode = strength(row.get(1));
            held.entry(row.get(0)).and_modify(|other| *other = mode.max(*other)).or_insert(mode);
        }
        connection.execute("ROLLBACK").await.expect("rolls back");
        let mut foreseen = foreseen(statement);
        // A relation that the statement drops is no longer in the catalog, and one that was only looked at need
        // not be foreseen: what a view or a foreign key leads to.
        foreseen.retain(|name, mode| *mode > 0 || held.contains_key(name));
        held.retain(|name, mode| *mode > 0 || foreseen.contains_key(name));
        if !statement["locks_beyond"].is_null() {
            held.retain(|name, _| foreseen.contains_key(name));
        }
        if held != foreseen {
            wrong.push(format!("{sql}\n  foreseen {foreseen:?}\n  held     {held:?}"));
        }
    }
    let _ = connection.close().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Somebody else has a lock on the table that only reads and writes go along with: such a statement waits for
/// the first one that keeps others from something.
#[tokio::test]
async fn outside_of_a_transaction_too() {
    let database = Database::create().await;
    database.execute(SETUP).await;
    let statements: Vec<&str> = OUTSIDE.iter().map(|(sql, _)| *sql).collect();
    let planned = planned(&database, &statements).await;
    for ((sql, table), statement) in OUTSIDE.iter().zip(&planned) {
        let mut holder = database.connect().await;
        holder.execute("BEGIN").await.expect("begins");
        let lock = format!("LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE");
        holder.execute(AssertSqlSafe(lock)).await.expect("is had");
        let mut waiter = database.connect().await;
        let pid: i32 = sqlx::query("SELECT pg_backend_pid()").fetch_one(&mut waiter).await.expect("a pid").get(0);
        let sql: &'static str = sql;
        let running = tokio::spawn(async move { waiter.execute(sqlx::raw_sql(sql)).await.map(drop) });
        let query = format!(
            "SELECT mode || ' on ' || relation::regclass FROM pg_locks WHERE pid = {pid} AND NOT granted AND locktype = 'relation'"
        );
        let waited = until(&format!("`{sql}` waits"), async || database.list(&query).await.into_iter().next()).await;
        database.execute(&format!("SELECT pg_terminate_backend({pid})")).await;
        assert!(running.await.expect("it ends").is_err(), "{sql}");
        let _ = holder.close().await;
        let mode = foreseen(statement)[*table];
        assert_eq!(waited, format!("{} on {table}", MODES[mode].1), "{sql}");
    }
}
