//! All looks, each with a time limit: what gives no answer is a finding as well.

use std::path::PathBuf;
use std::time::Duration;

use rehearsal::doctor::artefact::Artefact;
use rehearsal::doctor::database::Server;
use rehearsal::doctor::variables::Wanted;
use rehearsal::doctor::{Area, Finding, artefact, backups, database, disk, sandboxes, tools, variables};
use rehearsal::smoke::app::Words;
use rehearsal::source::MigrationSet;
use rehearsal::{Error, Kind};

use super::git;
use crate::cli::DoctorArgs;
use crate::machine;
use crate::shell::Shell;

/// How long one look may take: the time limits of three connections (`CONNECT_TIMEOUT`), as a target with two URLs may
/// need them when nobody answers.
const LIMIT: Duration = Duration::from_secs(30);

pub async fn all(shell: &Shell, wanted: &DoctorArgs) -> anyhow::Result<Vec<Finding>> {
    let name = shell.target_name();
    let mut findings = Vec::new();
    // Checks and traffic are read by most commands: one that cannot be parsed stops them.
    let workspace = shell.workspace();
    if let Err(error) = &workspace {
        findings.push(Finding::of(Area::Configuration, error));
    }
    let migrations = workspace.ok().map(|workspace| workspace.migrations).or_else(|| shell.migrations().ok());
    let purpose = wanted.purpose.as_deref();
    findings.extend(variables::look(&shell.config, Wanted { target: name, purpose }, machine::variable));
    let (of_git, of_target) = tokio::join!(
        within(Area::Git, "git", git::look(&shell.config.migrations)),
        within(Area::Database, "the database", target(shell, migrations.as_ref())),
    );
    let (of_database, server) = match of_target {
        Ok(looked) => looked?,
        Err(late) => (vec![late], None),
    };
    findings.extend(of_database);
    let version = server.map(|server| server.version);
    let choice = wanted.provider.unwrap_or(shell.config.sandbox.provider);
    let (config, environment) = (&shell.config, &shell.environment);
    let (of_tools, of_sandboxes, of_backups, of_disk, of_artefact) = tokio::join!(
        within(Area::Tools, "PostgreSQL's programs", tools::look(environment, version)),
        within(
            Area::Sandbox,
            "the providers",
            sandboxes::look(config, environment, choice, wanted.image.as_deref(), version)
        ),
        within(Area::Backups, "the place of the backups", backups::look(config, environment, name)),
        within(Area::Disk, "the disks", disks(shell, server)),
        within(Area::Artefact, "the artefact", built(shell, wanted, migrations)),
    );
    findings.extend(of_tools.unwrap_or_else(one));
    findings.push(of_sandboxes.unwrap_or_else(|late| late));
    findings.extend(of_backups.unwrap_or_else(one));
    findings.extend(of_disk.unwrap_or_else(one));
    findings.extend(of_git.unwrap_or_else(one));
    findings.extend(of_artefact.unwrap_or_else(Some));
    Ok(findings)
}

fn one(finding: Finding) -> Vec<Finding> {
    vec![finding]
}

async fn within<T>(area: Area, what: &str, look: impl Future<Output = T>) -> Result<T, Finding> {
    tokio::time::timeout(LIMIT, look).await.map_err(|_| {
        let seconds = LIMIT.as_secs();
        Finding::problem(
            area,
            Kind::Busy,
            format!("{what}: no answer within {seconds} s"),
            "see whether the network, a disk or a program hangs, then run it again",
        )
    })
}

async fn target(shell: &Shell, migrations: Option<&MigrationSet>) -> Result<(Vec<Finding>, Option<Server>), Error> {
    match shell.target().await {
        Ok(target) => database::look(&target, &shell.config, migrations, &shell.cancel).await,
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error @ Error::Target(_)) => Ok((vec![Finding::of(Area::Variables, &error)], None)),
        Err(error) => Ok((vec![Finding::of(Area::Database, &error)], None)),
    }
}

async fn disks(shell: &Shell, server: Option<Server>) -> Vec<Finding> {
    let (config, environment) = (shell.config.clone(), shell.environment.clone());
    let size = server.and_then(|server| server.size);
    let looked = tokio::task::spawn_blocking(move || disk::look(&config, &environment, size));
    looked.await.unwrap_or_default()
}

/// The program that ships, or the one that `[app]` starts.
async fn built(shell: &Shell, wanted: &DoctorArgs, migrations: Option<MigrationSet>) -> Option<Finding> {
    let migrations = migrations?;
    let app = &shell.config.app;
    // A bare name is a program of PATH, which is not built here.
    let started = app.run.as_ref().and_then(Words::program).filter(|program| program.contains('/'));
    let program = wanted.artefact.clone().or_else(|| started.map(PathBuf::from))?;
    let (ships, build) = (wanted.artefact.is_some(), app.build.as_ref().map(Words::to_string));
    let looked = tokio::task::spawn_blocking(move || {
        artefact::look(Artefact { program: &program, build: build.as_deref(), ships }, &migrations)
    });
    looked.await.ok()
}
