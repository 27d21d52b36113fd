//! The target: who answers, by which way, what it has applied, and what our role may do there.

use tokio_util::sync::CancellationToken;

use super::finding::{Area, Finding};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::plan::{self, Plan, Refusal};
use crate::postgres::history::History;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::version::Version;
use crate::postgres::{catalog, pooler, rights};
use crate::readiness::{self, named};
use crate::report::format::{bytes, plural};
use crate::source::MigrationSet;
use crate::target::Target;

/// What the looks at this machine go by.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// The server's version.
    pub version: Version,
    /// The database's size in bytes, where it could be asked for.
    pub size: Option<u64>,
}

/// Looks at a target's database. Everything is read in read-only transactions.
///
/// # Errors
/// [`Error::Interrupted`]; anything else is a finding.
pub async fn look(
    target: &Target,
    config: &Config,
    migrations: Option<&MigrationSet>,
    cancel: &CancellationToken,
) -> Result<(Vec<Finding>, Option<Server>)> {
    let mut findings = Vec::new();
    let mut session = match Session::connect(target, "doctor", cancel).await {
        Ok(session) => session,
        Err(error) => {
            findings.push(not_interrupted(Area::Database, error)?);
            return Ok((findings, None));
        }
    };
    let mut server = Server { version: session.version(), size: None };
    let place = session.target().to_string();
    findings.push(Finding::ok(Area::Database, format!("{place} answers: PostgreSQL {}", server.version)));
    findings.push(match pooler::refuse(&mut session, target, cancel).await {
        Ok(()) => Finding::ok(Area::Database, "no connection pooler is in between"),
        Err(error) => not_interrupted(Area::Database, error)?,
    });
    if target.is_protected() && !target.is_pinned() {
        let name = target.name();
        findings.push(Finding::warning(
            Area::Database,
            format!("{name} is protected, and nothing says which database it is: any that its URL leads to is taken"),
            format!("pin it in rehearsal.toml: [targets.{name}.identity] with system_identifier and database"),
        ));
    }
    // What fails here is one finding; what was found before it stays.
    if let Err(error) = inside(&mut session, config, migrations, &mut server, &mut findings).await {
        findings.push(not_interrupted(Area::Database, error)?);
    }
    session.close().await;
    Ok((findings, Some(server)))
}

fn not_interrupted(area: Area, error: Error) -> Result<Finding> {
    if matches!(error, Error::Interrupted) { Err(error) } else { Ok(Finding::of(area, &error)) }
}

async fn inside(
    session: &mut Session,
    config: &Config,
    migrations: Option<&MigrationSet>,
    server: &mut Server,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let of_server = readiness::of_server(session).await?;
    let remedy = "connect to the primary server, where transactions may write";
    let not_writable = of_server.not_ready.into_iter();
    findings.extend(not_writable.map(|what| Finding::problem(Area::Database, Kind::Refused, what, remedy)));
    session.go_read_only().await.map_err(Stopped::doing("go read-only"))?;
    let plan = match migrations {
        Some(migrations) => history(session, config, migrations, findings).await?,
        None => None,
    };
    let overview = catalog::overview(session).await?;
    server.size = Some(overview.size);
    let role = &overview.role;
    if let Some(plan) = plan {
        let of_role = readiness::of_role(session, &plan, config, &overview).await?;
        if of_role.not_ready.is_empty() && of_role.worth_a_look.is_empty() {
            findings.push(Finding::ok(Area::Rights, format!("the role {role} may migrate")));
        }
        let refused = of_role.not_ready.into_iter().map(|what| {
            let remedy = "connect as the owner of the tables, or have the right granted";
            Finding::problem(Area::Rights, Kind::Refused, what, remedy)
        });
        let others = of_role.worth_a_look.into_iter().map(|what| {
            Finding::warning(Area::Rights, what, "connect as the owner of the tables, if a migration alters them")
        });
        findings.extend(refused.chain(others));
    }
    let unreadable = rights::unreadable(session).await?;
    if !unreadable.forbidden.is_empty() {
        findings.push(Finding::problem(
            Area::Rights,
            Kind::Refused,
            format!("the role {role} may not read {}, so it can make no backup", named(&unreadable.forbidden)),
            format!("back up as the owner, or let who may run: GRANT pg_read_all_data TO {role}"),
        ));
    }
    if !unreadable.hidden.is_empty() {
        findings.push(Finding::problem(
            Area::Rights,
            Kind::Refused,
            format!(
                "row-level security hides rows of {} from the role {role}, so it can make no backup",
                named(&unreadable.hidden)
            ),
            "back up as the owner of the tables, or as a role with BYPASSRLS",
        ));
    }
    if unreadable.forbidden.is_empty() && unreadable.hidden.is_empty() {
        let size = bytes(overview.size);
        findings.push(Finding::ok(Area::Rights, format!("the role {role} may read all of it ({size}) for a backup")));
    }
    Ok(())
}

/// Compares the history with the files; gives what is pending, where that can be told.
async fn history(
    session: &mut Session,
    config: &Config,
    migrations: &MigrationSet,
    findings: &mut Vec<Finding>,
) -> Result<Option<Plan>> {
    let table = &config.history_table;
    let history = match History::read(session, table).await {
        Ok(history) => history,
        Err(error) => {
            findings.push(not_interrupted(Area::History, error)?);
            return Ok(None);
        }
    };
    let refused = |refusal: Refusal| Finding::of(Area::History, &Error::from(refusal));
    let plan = match plan::up(migrations, &history, None) {
        Ok(plan) => plan,
        Err(refusal) => {
            findings.push(refused(refusal));
            return Ok(None);
        }
    };
    let applied = history.iter().filter(|row| row.success).count() as u64;
    let pending = plan.files().len() as u64;
    let figures = format!("{table}: {} applied, {pending} pending", plural(applied, "migration"));
    findings.push(match plan.files().iter().find(|file| file.resumes) {
        Some(file) => Finding::warning(
            Area::History,
            format!("{figures}; version {} stopped half-way", file.version),
            "cargo xtask migrate goes on where it stopped",
        ),
        None => Finding::ok(Area::History, figures),
    });
    Ok(Some(plan))
}
