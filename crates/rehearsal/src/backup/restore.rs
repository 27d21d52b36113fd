//! pg_restore into an empty database, and whether what is there then is what the backup holds.

use tokio_util::sync::CancellationToken;

use super::compared;
use super::failure::BackupError;
use super::manifest::Manifest;
use super::trial::NOT_IN_A_SANDBOX;
use crate::error::Result;
use crate::postgres::archive::{Archive, Named};
use crate::postgres::catalog;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::target::Target;

/// Restores an archive into a database that is empty. The first error ends it.
///
/// # Errors
/// pg_restore's complaint.
pub async fn run(archive: &Archive<'_>, into: &Target, jobs: usize, cancel: &CancellationToken) -> Result<()> {
    archive.restore(&[&format!("--jobs={jobs}")], into, cancel).await
}

/// The same into a throwaway server, without what that cannot have ([`NOT_IN_A_SANDBOX`]).
///
/// # Errors
/// pg_restore's complaint.
pub(super) async fn run_in_sandbox(
    archive: &Archive<'_>,
    into: &Target,
    jobs: usize,
    cancel: &CancellationToken,
) -> Result<()> {
    let jobs = format!("--jobs={jobs}");
    let how: Vec<&str> = NOT_IN_A_SANDBOX.iter().copied().chain([jobs.as_str()]).collect();
    archive.restore(&how, into, cancel).await
}

/// The same in one transaction: all of it or nothing, where an unfinished database cannot be dropped.
///
/// # Errors
/// pg_restore's complaint.
pub async fn run_whole(archive: &Archive<'_>, into: &Target, cancel: &CancellationToken) -> Result<()> {
    archive.restore(&["--single-transaction"], into, cancel).await
}

/// Compares a restored database with what its backup says, over that many connections, and gives the planner its
/// statistics meanwhile.
///
/// # Errors
/// [`BackupError::Wrong`] with each difference.
pub async fn prove(session: &mut Session, manifest: &Manifest, jobs: usize) -> Result<()> {
    let (target, cancel) = (session.target().clone(), session.cancellation().clone());
    let analysing = async {
        let mut session = Session::connect(&target, "restore", &cancel).await?;
        let analyse = "SET statement_timeout = 0; ANALYZE";
        session.execute(analyse).await.map_err(Stopped::doing("analyse the restored database"))?;
        session.close().await;
        Ok(())
    };
    let (differences, ()) = tokio::try_join!(compared::with_manifest(session, manifest, jobs), analysing)?;
    if differences.is_empty() { Ok(()) } else { Err(BackupError::Wrong { differences }.into()) }
}

/// Refuses a server that lacks roles, extensions or tablespaces which the backup needs.
///
/// # Errors
/// [`BackupError::Missing`] with all of them.
pub async fn fits(session: &mut Session, manifest: &Manifest, named: &Named) -> Result<()> {
    let roles = catalog::roles(session).await?;
    let rows = session
        .fetch_text("SELECT name FROM pg_available_extensions", usize::MAX)
        .await
        .map_err(Stopped::doing("list the available extensions"))?;
    let available: Vec<String> = rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect();
    let missing_roles = manifest
        .surroundings
        .roles
        .iter()
        // A server has roles for other databases, and one of those may have gone.
        .filter(|role| named.roles.contains(&role.name))
        .filter(|role| !roles.iter().any(|other| other.name == role.name))
        .map(|role| format!("role {}", role.name));
    let missing_extensions = manifest
        .extensions
        .iter()
        .filter_map(|extension| extension.split(' ').next())
        .filter(|name| !available.iter().any(|other| other == name))
        .map(|name| format!("extension {name}"));
    let rows = session.fetch_text("SELECT spcname::text FROM pg_tablespace", usize::MAX).await;
    let rows = rows.map_err(Stopped::doing("list the tablespaces"))?;
    let tablespaces: Vec<String> = rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect();
    let missing_tablespaces =
        named.tablespaces.iter().filter(|name| !tablespaces.contains(name)).map(|name| format!("tablespace {name}"));
    let missing: Vec<String> = missing_roles.chain(missing_extensions).chain(missing_tablespaces).collect();
    if missing.is_empty() { Ok(()) } else { Err(BackupError::Missing { missing }.into()) }
}
