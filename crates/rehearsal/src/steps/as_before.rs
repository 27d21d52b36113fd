//! After the way back: the schema, the rows and the values must be what they were.

use async_trait::async_trait;

use super::observe;
use super::step::{Step, StepReport};
use crate::check::CheckError;
use crate::context::{Context, Observation};
use crate::error::Result;
use crate::report::format::plural;

/// How many differences are named.
const NAMED: usize = 10;

/// See the module.
pub struct AsBefore;

#[async_trait]
impl Step for AsBefore {
    fn name(&self) -> &'static str {
        "as-before"
    }

    fn title(&self) -> &'static str {
        "compare schema and contents with before"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let Some(before) = &cx.before else {
            return Ok(StepReport::skipped("nobody has looked at it before"));
        };
        if let Some(version) = before.unfinished {
            return Ok(StepReport::warned(format!(
                "an earlier run had stopped in version {version}: what there was before that nobody has seen"
            )));
        }
        let mut session = cx.connect("as-before").await?;
        let now = observe::read(cx, &mut session).await?;
        session.close().await;
        let mut differences = differences(before, &now);
        if !differences.is_empty() {
            let more = differences.len().saturating_sub(NAMED);
            differences.truncate(NAMED);
            if more > 0 {
                differences.push(format!("and {more} more"));
            }
            return Err(CheckError::NotAsBefore { differences }.into());
        }
        let objects = now.schema.as_ref().map_or(0, crate::postgres::schema::Schema::len) as u64;
        let tables = now.contents.as_ref().map_or(0, std::collections::BTreeMap::len) as u64;
        Ok(StepReport::done(format!(
            "exactly: {} and the contents of {}",
            plural(objects, "object"),
            plural(tables, "table")
        )))
    }
}

fn differences(before: &Observation, now: &Observation) -> Vec<String> {
    let mut differences = match (&before.schema, &now.schema) {
        (Some(before), Some(now)) => before.differences(now),
        _ => Vec::new(),
    };
    if let (Some(then), Some(now)) = (&before.sequences, &now.sequences) {
        differences.extend(crate::postgres::sequences::differences(then, now));
    }
    if let (Some(then), Some(now)) = (&before.contents, &now.contents) {
        for (table, fingerprint) in then {
            match now.get(table) {
                None => differences.push(format!("the contents of {table} are gone")),
                Some(other) if other.rows != fingerprint.rows => {
                    differences.push(format!("{table} had {} rows and has {}", fingerprint.rows, other.rows));
                }
                Some(other) if other.sum != fingerprint.sum => {
                    differences.push(format!("{table} has as many rows, but not the same values"));
                }
                Some(_) => {}
            }
        }
    }
    let invalid = now.invalid_indexes.iter().filter(|index| !before.invalid_indexes.contains(index));
    differences.extend(invalid.map(|index| format!("index {index} is INVALID")));
    differences
}
