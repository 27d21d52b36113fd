//! What batches are walked along: every type that has an order, and every kind of table and index.

use rehearsal_tests::Database;

use crate::batches::{batched, figures};

/// A type, and a thousand values of it; NaN, infinities and years before Christ have their place in the order.
const KEYS: [(&str, &str, &str); 26] = [
    ("bigint", "bigint", "g * 7 - 3000"),
    ("integer", "integer", "g"),
    ("oid", "oid", "g + 3000000000"),
    ("numeric", "numeric(12,3)", "g / 3.0 - 100"),
    ("numeric without limits", "numeric", "CASE g WHEN 1 THEN 'NaN' ELSE 10.0 ^ (g / 20) / 7 END"),
    ("double", "double precision", "CASE g WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE 1.0 / g END"),
    ("real", "real", "1.0 / g"),
    ("boolean", "boolean", "g % 2 = 0"),
    ("uuid", "uuid", "md5(g::text)::uuid"),
    (
        "text",
        "text",
        "CASE g % 5 WHEN 0 THEN 'Ä' WHEN 1 THEN 'a''b' WHEN 2 THEN E'c\\\\d' WHEN 3 THEN '' ELSE 'Z ' END || g",
    ),
    ("text in C", "text COLLATE \"C\"", "CASE g % 2 WHEN 0 THEN 'a' ELSE 'B' END || g"),
    ("citext", "citext", "CASE g % 2 WHEN 0 THEN 'k' ELSE 'K' END || g"),
    ("varchar", "varchar(40)", "'k' || g"),
    ("char", "char(12)", "'k' || g"),
    ("bytea", "bytea", "decode(md5(g::text), 'hex')"),
    ("bit", "bit(16)", "g::bit(16)"),
    ("inet", "inet", "'10.0.0.0'::inet + g"),
    ("date", "date", "CASE g WHEN 1 THEN '0044-03-15 BC' ELSE date '1999-01-01' + g END"),
    ("time", "time", "time '00:00' + g * interval '1 second'"),
    ("interval", "interval", "(g - 500) * interval '1 day 2 hours -3 minutes'"),
    (
        "timestamptz",
        "timestamptz",
        "CASE g WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' \
         ELSE timestamptz '2024-10-27 00:00:00+00' + g * interval '7 minutes 0.000001 seconds' END",
    ),
    ("timestamp", "timestamp", "timestamp '2024-03-31 00:00:00' + g * interval '5 minutes'"),
    ("enum", "mood", "(ARRAY['sad', 'ok', 'happy']::mood[])[1 + g % 3]"),
    ("domain", "positive", "g"),
    ("array", "integer[]", "ARRAY[g % 7, g]"),
    ("jsonb", "jsonb", "jsonb_build_object('a', g % 7, 'b', g || '\"')"),
];

#[tokio::test]
async fn every_type_of_key() {
    for (name, key, value) in KEYS {
        let database = Database::create().await;
        // Whatever a database writes its values like: bounds must be read as what they were written as.
        for setting in [
            "datestyle = 'SQL, DMY'",
            "intervalstyle = 'sql_standard'",
            "bytea_output = 'escape'",
            "extra_float_digits = -3",
            "timezone = 'Asia/Kathmandu'",
        ] {
            database.execute(&format!("ALTER DATABASE {} SET {setting}", database.name())).await;
        }
        let project = batched(
            &format!(
                "CREATE EXTENSION citext;\nCREATE TYPE mood AS ENUM ('happy', 'ok', 'sad');\n\
                 CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);\n\
                 CREATE TABLE t (k {key} NOT NULL, n int NOT NULL DEFAULT 0);\n\
                 INSERT INTO t (k) SELECT {value} FROM generate_series(1, 1000) g;\n\
                 CREATE INDEX ON t (k);"
            ),
            "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE;",
        )
        .on(&database);
        let ended = project.run("migrate").await;
        ended.must_exit(0);
        assert_eq!(database.list("SELECT concat_ws(' ', n, count(*)) FROM t GROUP BY n").await, ["10 1000"], "{name}");
        let figures = figures(&ended);
        assert_eq!(figures["rows"], 1_000, "{name}");
        // The size follows the time, up to twice from one batch to the next: 100, 200, 400, 800 at best.
        // All rows of one value are in one batch.
        let least = match name {
            "boolean" => 2,
            "enum" => 3,
            _ => 4,
        };
        let batches = figures["batches"].as_u64().expect("a number");
        assert!((least..=11).contains(&batches), "{name}: {batches} batches");
    }
}

/// What is walked, by a statement over a thousand rows in `t`.
const WALKED: [(&str, &str, &str); 8] = [
    (
        "a descending index",
        "CREATE TABLE t (k int, n int DEFAULT 0); CREATE INDEX ON t (k DESC);",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE",
    ),
    (
        "the first column of a composite key",
        "CREATE TABLE t (k int, b int DEFAULT 1, n int DEFAULT 0, PRIMARY KEY (k, b));",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE",
    ),
    (
        "partitions",
        "CREATE TABLE t (k int NOT NULL, n int DEFAULT 0) PARTITION BY RANGE (k); CREATE INDEX ON t (k);\n\
         CREATE TABLE t_low (n int, k int NOT NULL); ALTER TABLE t_low ALTER n SET DEFAULT 0;\n\
         ALTER TABLE t ATTACH PARTITION t_low FOR VALUES FROM (1) TO (301); CREATE TABLE t_rest PARTITION OF t DEFAULT;",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE",
    ),
    (
        "one partition",
        "CREATE TABLE t (k int, n int DEFAULT 0) PARTITION BY RANGE (k); CREATE INDEX ON t (k);\n\
         CREATE TABLE \"T one\" PARTITION OF t DEFAULT;",
        "UPDATE \"T one\" SET n = n + 10 WHERE /* batch: \"T one\".k */ TRUE",
    ),
    (
        "a table that others inherit",
        "CREATE TABLE t (k int PRIMARY KEY, n int DEFAULT 0); CREATE TABLE child () INHERITS (t);\n\
         CREATE INDEX ON child (k); ALTER TABLE child ALTER k DROP NOT NULL; INSERT INTO child SELECT g FROM generate_series(5001, 5100) g;\n\
         INSERT INTO child VALUES (NULL);",
        "UPDATE t SET n = n + 10 WHERE /* batch: t.k */ TRUE",
    ),
    (
        "that table only",
        "CREATE TABLE t (k int PRIMARY KEY, n int DEFAULT 0); CREATE TABLE child () INHERITS (t);\n\
         CREATE INDEX ON child (k); INSERT INTO child SELECT g FROM generate_series(5001, 5100) g;",
        "UPDATE ONLY t SET n = n + 10 WHERE /* batch: t.k */ TRUE",
    ),
    (
        "a generated key, deleted by",
        "CREATE TABLE t (k int, n int GENERATED ALWAYS AS (k * 2) STORED); CREATE INDEX ON t (n);",
        "DELETE FROM t WHERE /* batch: t.n */ TRUE AND k % 3 = 0",
    ),
    (
        "a materialized view that is read",
        "CREATE TABLE t (k int, n int DEFAULT 0);\nCREATE MATERIALIZED VIEW m AS SELECT g AS k FROM generate_series(1, 1000) g; CREATE INDEX ON m (k);",
        "INSERT INTO t SELECT k + 7000, 10 FROM m WHERE /* batch: m.k */ TRUE",
    ),
];

#[tokio::test]
async fn every_kind_of_table() {
    for (name, table, statement) in WALKED {
        let table = format!("{table}\nINSERT INTO t (k) SELECT g FROM generate_series(1, 1000) g;");
        let (ours, theirs) = (Database::create().await, Database::create().await);
        let project = batched(&table, statement);
        let ended = project.start_on(&ours.url(), "migrate").end().await;
        ended.must_exit(0);
        assert!(figures(&ended)["batches"].as_u64().is_some_and(|batches| batches >= 4), "{name}: {}", figures(&ended));
        theirs.execute(&table).await;
        theirs.execute(statement).await;
        let rows = "SELECT concat_ws(' ', tableoid::regclass, k, n) FROM t ORDER BY 1";
        assert_eq!(ours.list(rows).await, theirs.list(rows).await, "{name}");
    }
}

/// What cannot be walked: it would be sorted anew for every batch, or rows would move about.
const REFUSED: [(&str, &str, &str); 13] = [
    ("a hash index", "CREATE INDEX ON t USING hash (k);", "no btree index begins with t.k"),
    ("an expression", "CREATE INDEX ON t (abs(k));", "no btree index begins with t.k"),
    ("a second column", "CREATE INDEX ON t (n, k);", "no btree index begins with t.k"),
    ("NULLs first", "CREATE INDEX ON t (k NULLS FIRST);", "no btree index begins with t.k"),
    (
        "another collation",
        "ALTER TABLE t ALTER k TYPE text; CREATE INDEX ON t (k COLLATE \"POSIX\");",
        "no btree index begins with t.k",
    ),
    (
        "other operators",
        "ALTER TABLE t ALTER k TYPE text; CREATE INDEX ON t (k text_pattern_ops);",
        "no btree index begins with t.k",
    ),
    (
        "a child without an index",
        "CREATE INDEX ON t (k); CREATE TABLE child () INHERITS (t);",
        "no btree index begins with t.k",
    ),
    ("no order", "ALTER TABLE t ALTER k TYPE point USING point(0, 0);", "no btree index begins with t.k"),
    ("a view", "ALTER TABLE t RENAME TO behind; CREATE VIEW t AS SELECT * FROM behind;", "t, which is a view"),
    (
        "a foreign table",
        "DROP TABLE t; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;\n\
         CREATE FOREIGN TABLE t (k int, n int) SERVER s;",
        "t, which is a foreign table",
    ),
    (
        "a generated key",
        "ALTER TABLE t DROP k; ALTER TABLE t ADD k int GENERATED ALWAYS AS (n + 1) STORED; CREATE INDEX ON t (k);",
        "a batch by k, which is generated",
    ),
    ("a system column", "ALTER TABLE t RENAME k TO other;", "t.k, which is not there"),
    ("a sequence", "DROP TABLE t; CREATE SEQUENCE t;", "t.k, which is not there"),
];

#[tokio::test]
async fn what_cannot_be_walked() {
    for (name, table, complaint) in REFUSED {
        let database = Database::create().await;
        let project = batched(
            &format!("CREATE TABLE t (k int, n int);\n{table}"),
            "UPDATE t SET n = 1 WHERE /* batch: t.k */ TRUE;",
        )
        .on(&database);
        let ended = project.run("migrate").await;
        ended.must_exit(2);
        let (error, _) = ended.error();
        assert!(error.starts_with("migrations/2_batched.up.sql:1: ") && error.contains(complaint), "{name}: {error}");
        assert_eq!(database.applied().await, ["1"], "{name}: nothing has begun");
    }
}

#[tokio::test]
async fn a_key_of_several_columns() {
    let database = Database::create().await;
    let project = batched(
        "CREATE TABLE t (a int, b int, n int, PRIMARY KEY (a, b));",
        "UPDATE t SET n = 1\nWHERE /* batch: t.(a, b) */ TRUE;",
    )
    .on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(2);
    assert_eq!(
        ended.error(),
        (
            "migrations/2_batched.up.sql:2: a batch marker by `(a, b)`, which is not the name of one column".to_owned(),
            "walk one column of the key, its first if an index opens with it: `/* batch: TABLE.KEY */ TRUE`".to_owned()
        )
    );
}
