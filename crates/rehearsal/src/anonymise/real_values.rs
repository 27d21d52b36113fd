//! A few real values of every column with a rule, looked for in all of the new dump: a value may stand in a
//! column that nobody thought of.

use std::collections::BTreeSet;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::coverage::Plan;
use super::failure::AnonymiseError;
use super::rule::Rule;
use super::scan::{self, Found};
use crate::error::Result;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::tools::{Invocation, Tools};
use crate::target::Target;

/// How many values of a column are looked for, and among how many they are chosen.
const VALUES: u32 = 20;
const AMONG: u32 = 2_000;

/// Shorter ones stand in other texts by chance.
const SHORTEST: u32 = 12;

/// The dump as a script, in the run's own temporary folder.
const SCRIPT: &str = "copy.sql";

/// Looks for them. Gives the columns that are meant to stay in which some are; one with a rule is an error.
pub(super) async fn look(
    plan: &Plan,
    before: &mut Session,
    dump: &Path,
    into: &Target,
    tools: &Tools,
    folder: &Path,
    cancel: &CancellationToken,
) -> Result<Vec<String>> {
    let (needles, columns) = choose(plan, before).await?;
    if needles.is_empty() {
        return Ok(Vec::new());
    }
    let script = folder.join(SCRIPT);
    let arguments = [format!("--file={}", script.display()), dump.display().to_string()];
    let invocation = Invocation {
        program: "pg_restore",
        arguments: &arguments,
        target: into,
        purpose: "anonymise",
        folder: Some(folder),
        list: None,
    };
    tools.run(&invocation, cancel).await?;
    let places = |is_wanted: &dyn Fn(&Rule) -> bool| -> BTreeSet<Found> {
        let changes =
            plan.tables.iter().flat_map(|planned| planned.changes.iter().map(move |change| (planned, change)));
        let wanted = changes.filter(|(_, change)| is_wanted(&change.rule));
        wanted
            .map(|(planned, change)| {
                scan::place(&planned.table.name.schema, &planned.table.name.name, &change.column.name)
            })
            .collect()
    };
    let by_chance = places(&Rule::leaves_to_chance);
    let ruled = places(&|rule| !rule.leaves_to_chance());
    let (mut leaks, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for (needle, place) in scan::scan_and_remove(script, needles, cancel.clone()).await? {
        let phrase = format!("values of {} are in {place}", columns[needle]);
        if ruled.contains(&place) {
            leaks.insert(phrase);
        } else if !by_chance.contains(&place) {
            kept.insert(phrase);
        }
    }
    if leaks.is_empty() {
        Ok(kept.into_iter().collect())
    } else {
        Err(AnonymiseError::Leak { found: leaks.into_iter().collect() }.into())
    }
}

/// The values, and for each the column that it is of. What COPY would write otherwise is left out.
async fn choose(plan: &Plan, before: &mut Session) -> Result<(Vec<String>, Vec<String>)> {
    let (mut needles, mut columns) = (Vec::new(), Vec::new());
    for planned in &plan.tables {
        for change in planned.changes.iter().filter(|change| change.column.kind.is_text()) {
            let column = change.column.sql();
            let query = format!(
                "SELECT value FROM (SELECT {column}::text AS value FROM ONLY {} \
                    WHERE length({column}::text) BETWEEN {SHORTEST} AND 200 AND {column}::text !~ '[[:cntrl:]\\\\]' LIMIT {AMONG}) AS rows \
                 GROUP BY value ORDER BY length(value) DESC, value LIMIT {VALUES}",
                planned.table.sql()
            );
            let rows = before.fetch_text(&query, VALUES as usize).await;
            let rows = rows.map_err(Stopped::doing(format!("choose values of {}", planned.table.name)))?;
            for value in rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)) {
                needles.push(value);
                columns.push(format!("{}.{}", planned.table.name, change.column.name));
            }
        }
    }
    Ok((needles, columns))
}
