//! Any table, any statement, any size of batches: the same rows, and the same number of them, as the
//! statement itself gives, to which the marker is plain TRUE.

use fastrand::Rng;
use rehearsal_tests::Database;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::batches::figures;
use crate::project;

/// How many statements are tried in one run of the test. Each has a seed of its own, which a failure tells.
const CASES: u64 = 12;

/// Types of keys, with values that leave gaps, repeat themselves, and are in no order.
const KEYS: [(&str, &str); 6] = [
    ("bigint", "(g * 7919) % 100003"),
    ("integer", "g / 7"),
    ("text", "chr(65 + g % 50) || g % 13"),
    ("uuid", "md5(g::text)::uuid"),
    ("numeric", "round(1000.0 / g, 3)"),
    ("timestamptz", "timestamptz '2024-03-30 22:00:00+00' + (g % 97) * interval '13 minutes'"),
];

const CONDITIONS: [&str; 5] =
    ["TRUE", "t.n % 3 = 1", "t.s IS NULL", "(t.n < 40 OR t.s < 'm')", "EXISTS (SELECT FROM o WHERE o.n = t.n)"];

/// Each with a place for the marker and one for a condition.
const STATEMENTS: [&str; 10] = [
    "UPDATE t SET n = n + 1000 WHERE {marker} AND {condition}",
    "UPDATE t SET s = t.s || o.label, n = t.n + 1 FROM o WHERE o.n = t.n AND {condition} AND {marker}",
    "WITH few AS (SELECT n FROM o WHERE n % 2 = 0) UPDATE t SET s = 'in' FROM few WHERE {marker} AND few.n = t.n",
    "DELETE FROM t WHERE ({condition}) AND ({marker})",
    "DELETE FROM t USING o WHERE {marker} AND o.n = t.n AND {condition}",
    "INSERT INTO log (n, s) SELECT t.n, coalesce(o.label, t.s) FROM t LEFT JOIN o ON o.n = t.n WHERE {condition} AND {marker}",
    "INSERT INTO log (n, s) SELECT t.n, x.s FROM t, LATERAL (VALUES ('a'), ('b')) AS x (s) WHERE {marker} AND {condition}",
    "INSERT INTO once (n) SELECT t.n FROM t WHERE {marker} AND {condition} ON CONFLICT (n) DO NOTHING",
    "WITH moved AS (DELETE FROM t WHERE {condition} AND {marker} RETURNING n, s) INSERT INTO log SELECT n, s FROM moved",
    "WITH changed AS (UPDATE t SET n = t.n + 1 WHERE {marker} AND {condition} RETURNING n, s) INSERT INTO log SELECT n, s FROM changed",
];

struct Case {
    tables: String,
    statement: String,
    batch_rows: u64,
}

impl Case {
    fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let (key, value) = KEYS[random.usize(..KEYS.len())];
        let rows = if random.u8(..8) == 0 { 0 } else { random.u32(1..600) };
        let value = if random.bool() { format!("CASE WHEN g % 5 > 0 THEN {value} END") } else { value.to_owned() };
        // Rows lie about in the table as they come.
        let tables = format!(
            "CREATE TABLE t (k {key}, n integer, s text);\n\
             INSERT INTO t SELECT {value}, g % 90, CASE WHEN g % 4 > 0 THEN chr(97 + g % 26) END\n\
             FROM generate_series(1, {rows}) AS g ORDER BY md5(g::text || {seed});\n\
             CREATE INDEX ON t (k);\n\
             CREATE TABLE o (n integer PRIMARY KEY, label text);\n\
             INSERT INTO o SELECT g, 'label ' || g FROM generate_series(0, 89, 3) AS g;\n\
             CREATE TABLE log (n integer, s text);\nCREATE TABLE once (n integer PRIMARY KEY);\n"
        );
        let statement = STATEMENTS[random.usize(..STATEMENTS.len())]
            .replace("{marker}", "/* batch: t.k */ TRUE")
            .replace("{condition}", CONDITIONS[random.usize(..CONDITIONS.len())]);
        Self { tables, statement, batch_rows: random.u64(1..150) }
    }
}

#[tokio::test]
async fn any_statement_gives_what_it_gives_as_a_whole() {
    for _ in 0..CASES {
        let seed = fastrand::u64(..);
        let case = Case::of(seed);
        let told = format!("seed {seed}, batches of {}: {}\n{}", case.batch_rows, case.statement, case.tables);
        let (ours, theirs) = (Database::create().await, Database::create().await);
        let project = project()
            .write("rehearsal.toml", &format!("[limits]\nbatch_rows = {}\n", case.batch_rows))
            .migration("1_tables", &case.tables, "SELECT 1;")
            .migration("2_batched", &case.statement, "SELECT 1;")
            .on(&ours);
        let ended = project.run("migrate").await;
        assert_eq!(ended.code, Some(0), "{told}\n{}", ended.text());
        theirs.execute(&case.tables).await;
        let mut connection = theirs.connect().await;
        let whole = connection.execute(sqlx::raw_sql(AssertSqlSafe(case.statement.clone()))).await.expect("it runs");
        connection.close().await.expect("it ends");
        assert_eq!(figures(&ended)["rows"], whole.rows_affected(), "{told}");
        for table in ["t", "o", "log", "once"] {
            let rows = format!("SELECT x::text FROM {table} AS x ORDER BY 1");
            assert_eq!(ours.list(&rows).await, theirs.list(&rows).await, "{told}: {table}");
        }
    }
}
