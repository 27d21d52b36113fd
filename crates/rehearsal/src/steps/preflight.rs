//! Looks whether the target is fit for a release, and changes nothing: everything is read in
//! read-only transactions.

use std::collections::HashMap;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::analysis::outlook::{self, Known};
use crate::analysis::rehearsed::Rehearsals;
use crate::context::Context;
use crate::error::Result;
use crate::event::{EventKind, FilePlace, LintFinding};
use crate::plan::{self, Plan, Refusal};
use crate::postgres::history::History;
use crate::postgres::query::Stopped;
use crate::postgres::version::Version;
use crate::postgres::{activity, catalog};
use crate::readiness::{self, Readiness};
use crate::report::format::{bytes, plural};

/// A transaction that is older than this holds up a release: locks queue behind it, and
/// CONCURRENTLY waits for it.
const LONG_TRANSACTION_SECONDS: u32 = 60;

/// How many of those are named.
const LONG_TRANSACTIONS_NAMED: u32 = 10;

/// See the module.
pub struct Preflight {
    /// The newest version that the release goes to.
    pub to: Option<i64>,
}

#[async_trait]
impl Step for Preflight {
    fn name(&self) -> &'static str {
        "preflight"
    }

    fn title(&self) -> &'static str {
        "look whether the database is fit for the release"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let mut session = cx.connect_and_tell("preflight").await?;
        cx.refuse_pooler(&mut session).await?;
        let Readiness { mut not_ready, mut worth_a_look } = readiness::of_server(&mut session).await?;
        session.go_read_only().await.map_err(Stopped::doing("go read-only"))?;
        let history = History::read(&mut session, &cx.workspace.config.history_table).await?;
        let plan = plan::up(&cx.workspace.migrations, &history, self.to)?;
        let overview = catalog::overview(&mut session).await?;
        let of_role = readiness::of_role(&mut session, &plan, &cx.workspace.config, &overview).await?;
        not_ready.extend(of_role.not_ready);
        worth_a_look.extend(of_role.worth_a_look);
        for index in catalog::invalid_indexes(&mut session).await? {
            worth_a_look.push(format!("index {index} is INVALID"));
        }
        let long = activity::open_for(&mut session, LONG_TRANSACTION_SECONDS, LONG_TRANSACTIONS_NAMED).await;
        for transaction in long.map_err(Stopped::doing("look for long transactions"))? {
            worth_a_look.push(format!("a long transaction holds things up: {transaction}"));
        }
        let server = session.version();
        session.close().await;
        if !not_ready.is_empty() {
            let remedy = format!(
                "connect as the owner of the tables, to the primary server (now: role {}, {})",
                overview.role,
                cx.target()?.address()
            );
            return Err(Refusal::NotReady { reasons: not_ready, remedy }.into());
        }
        for note in plan.notes() {
            cx.events.info(note.clone());
        }
        if cx.settings.lint {
            lint(cx, &plan, server);
        }
        for path in cx.workspace.migrations.ignored_files() {
            worth_a_look.push(format!("{} is no migration: sqlx passes over a name without VERSION_", path.display()));
        }
        let summary = format!(
            "{} to apply, database of {}",
            plural(plan.files().len() as u64, "migration"),
            bytes(overview.size)
        );
        if worth_a_look.is_empty() {
            return Ok(StepReport::done(summary));
        }
        for text in &worth_a_look {
            cx.events.warn(text.clone());
        }
        Ok(StepReport::warned(format!("{summary}; {} to look at", worth_a_look.len())))
    }
}

/// Tells what the linter does not like. Its rules are about text: what a table is like changes nothing.
fn lint(cx: &Context, plan: &Plan, server: Version) {
    let config = &cx.workspace.config;
    let release_of = |version| config.release_of(version);
    let known = Known {
        migrations: &cx.workspace.migrations,
        target: "",
        server,
        relations: &HashMap::new(),
        rehearsals: &Rehearsals::default(),
        lint: &config.lint,
        keeps_code_working: &|version| release_of(version).is_none_or(|release| version <= release.expanded()),
    };
    for file in outlook::of(plan, &known).files {
        for finding in file.statements.into_iter().flat_map(|statement| statement.findings) {
            cx.events.emit(EventKind::Finding(LintFinding {
                version: file.version,
                direction: file.direction,
                rule: finding.rule,
                message: finding.message,
                help: finding.help,
                place: FilePlace { path: file.path.clone().into(), line: finding.line },
            }));
        }
    }
}
