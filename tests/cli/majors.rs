//! A backup goes to a newer major version of PostgreSQL, and not to an older one.

use rehearsal_tests::{Database, docker};

use crate::project;

/// The newer one.
const NEWER: u32 = 17;

/// What a dump of an older version says otherwise than one of a newer one would.
const SCHEMA: &str = "\
    CREATE TYPE mood AS ENUM ('calm', 'busy'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); \
    CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, m mood, p positive, \
        at timestamptz DEFAULT now(), f double precision, long text GENERATED ALWAYS AS (name || '!') STORED); \
    CREATE TABLE events (id int, day date NOT NULL, j jsonb) PARTITION BY RANGE (day); \
    CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); \
    CREATE MATERIALIZED VIEW counted AS SELECT m, count(*) AS n FROM users GROUP BY m; \
    INSERT INTO users (name, m, p, f) SELECT 'user ' || g, 'busy', g, g / 7.0 FROM generate_series(1, 60) g; \
    INSERT INTO events SELECT g, '2025-06-01', '{\"a\": 1}' FROM generate_series(1, 30) g; \
    SELECT lo_from_bytea(0, 'large'); ";

#[tokio::test]
async fn to_a_newer_one_and_not_back() {
    const TEST: &str = "majors::to_a_newer_one_and_not_back";
    let Some(newer) = docker::of_major(TEST, NEWER).await else { return };
    let (source, there) = (Database::create().await, Database::create_on(&newer.database("postgres")).await);
    if source.value::<i32>("SELECT current_setting('server_version_num')::int / 10000").await >= NEWER.cast_signed() {
        docker::skipped(TEST, "the tests' own server is not older");
        return;
    }
    source.execute(SCHEMA).await;
    let project = project()
        .write("rehearsal.toml", "[targets.dev]\nurl_env = 'DATABASE_URL'\n[targets.newer]\nurl_env = 'NEWER_URL'\n")
        .on(&source)
        .variable("NEWER_URL", &there.url());
    project.run("db-backup").await.must_exit(0);
    let backup = format!("backups/dev/{}", project.names_in("backups/dev")[0]);
    let name = there.name().to_owned();
    let ended = project.run(&format!("restore {backup} --target newer --swap")).await;
    ended.must_exit(0).must_say("90 rows in 2 tables are in the place of");
    assert_eq!(there.value::<i64>("SELECT n FROM counted").await, 60);
    assert_eq!(there.value::<String>("SELECT long FROM users WHERE id = 7").await, "user 7!");
    let some = format!("{name}_some");
    project.run(&format!("restore {backup} --target newer --tables users --into {some}")).await.must_exit(0);
    project.run("db-backup --target newer --proof none").await.must_exit(0);
    let backup = format!("backups/newer/{}", project.names_in("backups/newer")[0]);
    let ended = project.run(&format!("restore {backup} --into {}_back", source.name())).await;
    ended.must_exit(3);
    let error = ended.error().0;
    assert!(error.contains(&format!("the backup is of PostgreSQL {NEWER}, and the server is ")), "{error}");
}
