//! Runs the workspace's checks on a session that only reads.

use sha2::{Digest, Sha256};

use crate::check::{Check, Expectation};
use crate::context::{Observation, Seen};
use crate::error::Result;
use crate::event::{CheckDone, CheckOutcome, milliseconds};
use crate::postgres::query::{Stopped, server_words};
use crate::postgres::schema::hex;
use crate::postgres::session::{Session, TextRows};
use crate::report::format::{plural, shortened};

/// How many rows of a result are looked at. Whoever expects none wants to see the first few.
const SHOWN_ROWS: usize = 5;

/// How long a finding may be.
const FOUND_CHARACTERS: usize = 400;

/// Pages below which a sequential scan is the right choice whatever indexes there are.
const SMALL_TABLE_PAGES: i64 = 100;

/// What a check gave, and how it came out.
pub(super) struct Finding {
    pub done: CheckDone,
    pub seen: Option<Seen>,
}

/// Runs one check.
///
/// # Errors
/// Only when the connection is lost or the user interrupts: a query that fails is a failed check.
pub(super) async fn run(
    session: &mut Session,
    check: &Check,
    before: Option<&Observation>,
    timeout: std::time::Duration,
) -> Result<Finding> {
    let began = std::time::Instant::now();
    session.begin_reading(timeout).await.map_err(Stopped::doing(format!("begin check {}", check.name)))?;
    let judged = judge(session, check, before).await;
    // A failed query has ended the transaction already; the session goes on either way.
    let ended = session.end_reading().await;
    let (outcome, found, seen) = match judged {
        Ok(judged) => judged,
        Err(Stopped::Failed(error)) => {
            ended.map_err(Stopped::doing(format!("run check {}", check.name)))?;
            (CheckOutcome::Failed, format!("its query failed: {}", server_words(&error)), None)
        }
        Err(stopped) => return Err(Stopped::doing(format!("run check {}", check.name))(stopped)),
    };
    let earlier = before.and_then(|before| before.checks.get(&check.name)).map(|seen| seen.found.clone());
    let done = CheckDone {
        name: check.name.clone(),
        expectation: check.expectation.clone(),
        severity: check.severity,
        outcome,
        digest: seen.as_ref().map(|seen| seen.digest.clone()),
        before: earlier.filter(|earlier| *earlier != found),
        found: shortened(&found, FOUND_CHARACTERS),
        duration_ms: milliseconds(began),
        place: format!("{}:{}", check.path.display(), check.line),
    };
    Ok(Finding { done, seen })
}

type Judged = (CheckOutcome, String, Option<Seen>);

async fn judge(session: &mut Session, check: &Check, before: Option<&Observation>) -> Result<Judged, Stopped> {
    if let Expectation::UsesIndex(index) = &check.expectation {
        return uses_index(session, &check.sql, index).await;
    }
    // Every row counts for the comparison, and few are kept.
    let mut digest = RowsDigest::default();
    let rows = session.fetch_text_each(&check.sql, SHOWN_ROWS, |row| digest.add(row)).await?;
    let found = describe(&rows);
    let single = match rows.rows.as_slice() {
        [row] if row.len() == 1 && rows.total == 1 => row[0].clone(),
        _ => None,
    };
    let seen = Seen { found: found.clone(), digest: digest.finish() };
    let holds = match &check.expectation {
        Expectation::NoRows => rows.total == 0,
        Expectation::Rows => rows.total > 0,
        Expectation::True => single.as_deref() == Some("t"),
        Expectation::Value(value) => single.as_deref() == Some(value.as_str()),
        Expectation::Unchanged => match before.and_then(|before| before.checks.get(&check.name)) {
            Some(earlier) => earlier.digest == seen.digest,
            None => {
                let found = format!("{found}; nothing to compare with");
                return Ok((CheckOutcome::NotJudged, found, Some(seen)));
            }
        },
        Expectation::Report => return Ok((CheckOutcome::Reported, found, Some(seen))),
        Expectation::UsesIndex(_) => false,
    };
    Ok((if holds { CheckOutcome::Passed } else { CheckOutcome::Failed }, found, Some(seen)))
}

/// The planner's own choice counts. On a table of a few pages it rightly reads all of it: then the
/// index passes if the planner takes it once that choice is closed.
async fn uses_index(session: &mut Session, sql: &str, index: &str) -> Result<Judged, Stopped> {
    let explain = format!("EXPLAIN (FORMAT JSON) {sql}");
    let plan = plan_text(session, &explain).await?;
    if mentions(&plan, index) {
        return Ok((CheckOutcome::Passed, format!("the planner reads {index}"), None));
    }
    session.execute("SET LOCAL enable_seqscan = off").await?;
    let forced = plan_text(session, &explain).await?;
    if !mentions(&forced, index) {
        return Ok((CheckOutcome::Failed, format!("the planner cannot use {index} for it"), None));
    }
    let query = sqlx::query(
        "SELECT coalesce(max(pg_relation_size(i.indrelid) / current_setting('block_size')::bigint), 0)::bigint \
         FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = $1",
    )
    .bind(index);
    let rows = session.fetch_bound(query).await?;
    let pages: i64 = rows.first().map_or(0, |row| sqlx::Row::get(row, 0));
    if pages < SMALL_TABLE_PAGES {
        let found = format!("the planner can use {index}; it reads all of a table this small ({pages} pages)");
        return Ok((CheckOutcome::Passed, found, None));
    }
    let found = format!(
        "the planner can use {index}, but does not want to; if ANALYZE does not help, the index does not either"
    );
    Ok((CheckOutcome::Failed, found, None))
}

async fn plan_text(session: &mut Session, explain: &str) -> Result<String, Stopped> {
    let rows = session.fetch_text(explain, usize::MAX).await?;
    Ok(rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect())
}

fn mentions(plan: &str, index: &str) -> bool {
    fn search(value: &serde_json::Value, index: &str) -> bool {
        match value {
            serde_json::Value::Object(fields) => fields
                .iter()
                .any(|(key, value)| (key == "Index Name" && value.as_str() == Some(index)) || search(value, index)),
            serde_json::Value::Array(items) => items.iter().any(|item| search(item, index)),
            _ => false,
        }
    }
    serde_json::from_str(plan).is_ok_and(|plan| search(&plan, index))
}

/// `3 rows: id=1, name=x | id=2 …`.
fn describe(rows: &TextRows) -> String {
    if rows.total == 0 {
        return "no rows".into();
    }
    let show = |row: &Vec<Option<String>>| {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let value = value.as_deref().unwrap_or("NULL");
                match rows.columns.get(index) {
                    Some(name) if row.len() > 1 => format!("{name}={value}"),
                    _ => value.to_owned(),
                }
            })
            .collect();
        cells.join(", ")
    };
    let shown: Vec<String> = rows.rows.iter().take(SHOWN_ROWS).map(show).collect();
    if rows.total == 1 {
        return shown.join("");
    }
    let more = if rows.total > SHOWN_ROWS { " | …" } else { "" };
    format!("{}: {}{more}", plural(rows.total as u64, "row"), shown.join(" | "))
}

/// A digest over rows in their order.
#[derive(Default)]
struct RowsDigest {
    digest: Sha256,
    rows: u64,
}

impl RowsDigest {
    fn add(&mut self, row: &[Option<String>]) {
        self.rows += 1;
        for value in row {
            match value {
                // Lengths keep the borders between values: ("ab", "c") is not ("a", "bc").
                Some(value) => {
                    self.digest.update([1]);
                    self.digest.update(value.len().to_le_bytes());
                    self.digest.update(value);
                }
                None => self.digest.update([0]),
            }
        }
        self.digest.update([2]);
    }

    fn finish(mut self) -> String {
        self.digest.update(self.rows.to_le_bytes());
        hex(&self.digest.finalize())
    }
}
