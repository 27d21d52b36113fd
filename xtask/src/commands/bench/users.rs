//! The big table: accounts as a service has them, made once and copied for every measurement.

use super::place::Place;

/// The database that is copied.
pub const TEMPLATE: &str = "bench_users";

/// The backfill in one statement, as any other tool would run it.
pub const UPDATE: &str = "UPDATE users SET onboarding_completed = true WHERE onboarding_completed IS NULL";

const TABLE: &str = "\
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text,
    hashed_password text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
";

/// Salts and hashes are random in life, so they are here: they decide how well a dump compresses.
const ROWS: &str = "\
INSERT INTO users (email, name, hashed_password, created_at, updated_at)
SELECT
    'person.' || g || '@' || (ARRAY['example.com', 'example.org', 'mail.example.net'])[1 + g % 3],
    CASE WHEN g % 11 > 0 THEN (ARRAY['Ada', 'Carmen', 'Emeka', 'Goran', 'Hana', 'Mei-Ling', 'Zoë'])[1 + g % 7] || ' ' || left(md5(g::text), 6) END,
    '$argon2id$v=19$m=19456,t=2,p=1$' || rtrim(encode(decode(md5('salt' || g), 'hex'), 'base64'), '=')
        || '$' || rtrim(encode(sha256(g::text::bytea), 'base64'), '='),
    timestamptz '2023-01-01 00:00:00+00' + interval '1 minute' * g,
    timestamptz '2023-01-01 00:00:00+00' + interval '1 minute' * g + interval '1 hour' * (g % 500)
FROM generate_series(1, current_setting('bench.rows')::bigint) AS g;
";

const COLUMN: &str = "\
ALTER TABLE users ADD COLUMN onboarding_completed boolean;
ALTER TABLE users ALTER COLUMN onboarding_completed SET DEFAULT false;
";

/// The migrations of a workspace whose last one is the backfill.
pub fn files() -> Vec<(String, String)> {
    let backfill = UPDATE.replace("WHERE", "WHERE /* batch: users.id */ TRUE AND");
    [
        ("0001_users", TABLE.to_owned()),
        ("0002_add_onboarding_completed", COLUMN.to_owned()),
        ("0003_backfill", format!("{backfill};\n")),
    ]
    .map(|(name, sql)| (format!("migrations/{name}.sql"), sql))
    .into()
}

/// Makes the template if it is not there: all rows, and all migrations but the backfill.
pub async fn ensure(place: &Place, workspace: &std::path::Path) -> anyhow::Result<()> {
    let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{TEMPLATE}'");
    if place.value("postgres", &there).await? != "0" {
        return Ok(());
    }
    let target = place.fresh(TEMPLATE, None).await?;
    place.time(&mut place.ours(workspace, Some(&target), &["migrate", "--to", "1"])).await?;
    place.execute(TEMPLATE, &[&format!("SET bench.rows = {}", place.rows), ROWS]).await?;
    place.time(&mut place.ours(workspace, Some(&target), &["migrate", "--to", "2"])).await?;
    // What autovacuum would do sooner or later. It comes when its minute is over: in the middle of the one
    // side, whose batches are committed, and after the other, which leaves it just as much to do.
    let statements =
        ["VACUUM (FREEZE, ANALYZE) users", "ALTER TABLE users SET (autovacuum_enabled = off)", "CHECKPOINT"];
    place.execute(TEMPLATE, &statements).await
}

/// How many rows are still to be done.
pub async fn undecided(place: &Place, database: &str) -> anyhow::Result<String> {
    place.value(database, "SELECT count(*) FROM users WHERE onboarding_completed IS NULL").await
}
