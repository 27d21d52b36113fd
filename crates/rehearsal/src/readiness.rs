//! What a plan needs of its database: that it can be written, and what of it the role may change.

use crate::config::Config;
use crate::error::Result;
use crate::plan::Plan;
use crate::postgres::catalog::{self, Overview};
use crate::postgres::identifier::quote;
use crate::postgres::journal::{self, JournalConfig};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::statement::Mode;

/// How many tables are named.
const NAMED: usize = 10;

/// What stands in a plan's way, and what only may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// With these, it cannot be carried out.
    pub not_ready: Vec<String>,
    /// These are in the way of some plans.
    pub worth_a_look: Vec<String>,
}

/// Whether the server can be written at all. Of a session that has not gone read-only itself.
///
/// # Errors
/// The server's.
pub async fn of_server(session: &mut Session) -> Result<Readiness> {
    let mut found = Readiness::default();
    if session.is_in_recovery() {
        found.not_ready.push("it is a standby, which can only be read".to_owned());
    }
    let writable = session
        .fetch_text("SHOW transaction_read_only", 1)
        .await
        .map_err(Stopped::doing("see whether the database may be written"))?;
    if writable.rows.first().is_some_and(|row| row[0].as_deref() == Some("on")) && !session.is_in_recovery() {
        found.not_ready.push("its transactions are read-only (default_transaction_read_only)".to_owned());
    }
    Ok(found)
}

/// Whether the role may do what the plan does.
///
/// # Errors
/// The server's.
pub async fn of_role(session: &mut Session, plan: &Plan, config: &Config, overview: &Overview) -> Result<Readiness> {
    let Readiness { mut not_ready, mut worth_a_look } = Readiness::default();
    match &overview.schema {
        None => not_ready.push("its search_path leads to no schema".to_owned()),
        Some(schema) if !overview.may_create => {
            not_ready.push(format!("the role {} may not create anything in schema {schema}", overview.role));
        }
        Some(_) => {}
    }
    let journalled = plan.files().iter().any(|file| file.script.mode == Mode::Stepwise);
    if journalled && !journal::can_be_kept(session).await? {
        let JournalConfig { schema, required } = &config.journal;
        let missing = format!(
            "the role {role} may not create the schema {schema} for the journal, without which nobody could tell how far \
             a file that is not one transaction has come; whoever may can run CREATE SCHEMA {} AUTHORIZATION {}",
            quote(schema),
            quote(&overview.role),
            role = overview.role,
        );
        if *required { &mut not_ready } else { &mut worth_a_look }.push(missing);
    }
    let table = &config.history_table;
    if !plan.files().is_empty() && !catalog::may_write(session, table).await? {
        not_ready.push(format!("the role {} may not write {table}", overview.role));
    }
    if !overview.foreign_tables.is_empty() {
        // Somebody else's table is in the way of a release only if the release alters it.
        worth_a_look.push(format!("the role {} does not own {}", overview.role, named(&overview.foreign_tables)));
    }
    Ok(Readiness { not_ready, worth_a_look })
}

/// The first of them, and how many more there are.
pub(crate) fn named(tables: &[String]) -> String {
    let shown = tables.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tables.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
