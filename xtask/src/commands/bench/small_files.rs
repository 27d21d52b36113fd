//! Two hundred small migrations on a fresh database, against sqlx-cli: what every test run and every
//! new colleague pays.

use async_trait::async_trait;

use super::figure::{By, Figure, Line, Measured};
use super::no_op::installed;
use super::place::{Place, workspace};
use super::samples::{Pairs, Unit};
use crate::exit;

const PAIRS: usize = 7;
const MIGRATIONS: usize = 200;
const LIMIT: f64 = 1.0;
const DATABASE: &str = "bench_small";

/// Of how many migrations one makes a table; the others go on with it.
const PER_TABLE: usize = 4;

/// See the module.
pub struct SmallFiles;

#[async_trait(?Send)]
impl Figure for SmallFiles {
    fn name(&self) -> &'static str {
        "small-migrations"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let folder = workspace(files(MIGRATIONS))?;
        let folder = folder.path();
        let ours = async || {
            apply(place, async |target| place.time(&mut place.ours(folder, Some(target), &["migrate"])).await).await
        };
        let linked = async || {
            apply(place, async |target| {
                place.time(&mut place.ours(folder, Some(target), &["sqlx", "migrate", "run"])).await
            })
            .await
        };
        let pairs = Pairs::take(PAIRS, true, ours, linked).await?;
        let mut lines = vec![line("`sqlx migrate run`", &pairs, Some((LIMIT, By::Median)))];
        if let Some(installed) = installed() {
            let installed = async || {
                apply(place, async |target| {
                    place.time(&mut place.theirs(&installed, folder, Some(target), &["migrate", "run"])).await
                })
                .await
            };
            let pairs = Pairs::take(PAIRS, true, ours, installed).await?;
            lines.push(line("the `sqlx` on PATH", &pairs, None));
        }
        place.sandbox().drop_database(DATABASE, &place.cancel).await?;
        Ok(lines)
    }
}

fn line(theirs: &str, pairs: &Pairs, limit: Option<(f64, By)>) -> Line {
    Line::Measured(Measured {
        what: format!("{MIGRATIONS} small migrations / {theirs}"),
        spread: pairs.ratios(),
        unit: Unit::Ratio,
        limit,
        detail: pairs.detail("migrate", "sqlx"),
    })
}

/// Runs it on a fresh database, and looks whether all of them were applied.
async fn apply(
    place: &Place,
    run: impl AsyncFnOnce(&rehearsal::target::Target) -> anyhow::Result<std::time::Duration>,
) -> anyhow::Result<std::time::Duration> {
    let target = place.fresh(DATABASE, None).await?;
    let took = run(&target).await?;
    let applied = place.value(DATABASE, "SELECT count(*) FROM _sqlx_migrations WHERE success").await?;
    if applied != MIGRATIONS.to_string() {
        return Err(exit::failed(
            format!("{applied} of {MIGRATIONS} were applied"),
            "this is a fault of the benchmark itself",
        ));
    }
    Ok(took)
}

/// So many migrations as people write them, with their ways back.
pub(super) fn files(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).flat_map(|index| {
        let (version, table, other) = (index + 1, index / PER_TABLE, (index / PER_TABLE).saturating_sub(1));
        let reference = if table == other { String::new() } else { format!(" REFERENCES thing_{other} (id)") };
        let (name, up, down) = match index % PER_TABLE {
            0 => (
                "create_thing",
                format!(
                    "-- A thing, and what it belongs to.\n\
                     CREATE TABLE thing_{table} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    name text NOT NULL,\n    \
                     parent_id bigint{reference},\n    created_at timestamptz NOT NULL DEFAULT now()\n);\n"
                ),
                format!("DROP TABLE thing_{table};\n"),
            ),
            1 => (
                "add_state",
                format!(
                    "ALTER TABLE thing_{table} ADD COLUMN state text NOT NULL DEFAULT 'new';\n\
                     ALTER TABLE thing_{table} ADD CONSTRAINT thing_{table}_state CHECK (state IN ('new', 'used', 'gone'));\n"
                ),
                format!("ALTER TABLE thing_{table} DROP COLUMN state;\n"),
            ),
            2 => (
                "index_parent",
                format!("CREATE INDEX thing_{table}_parent ON thing_{table} (parent_id);\n"),
                format!("DROP INDEX thing_{table}_parent;\n"),
            ),
            _ => (
                "first_things",
                format!("INSERT INTO thing_{table} (name) VALUES ('first'), ('second'); -- what a new installation begins with\n"),
                format!("DELETE FROM thing_{table};\n"),
            ),
        };
        [(format!("migrations/{version:04}_{name}.up.sql"), up), (format!("migrations/{version:04}_{name}.down.sql"), down)]
    })
}
