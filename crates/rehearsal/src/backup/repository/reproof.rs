//! Proves a backup again: restored into a sandbox, and compared with what its manifest says.

use std::path::Path;

use super::failure::RepositoryError;
use super::fetch::fetch;
use super::place::Repository;
use crate::backup::manifest::{DUMP_FOLDER, Manifest};
use crate::backup::proof::PROOF_DATABASE;
use crate::backup::{compared, restore};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::postgres::archive::Archive;
use crate::postgres::session::Session;
use crate::providers::scratch::Scratch;

/// A restored database was never seen to be more than that many times its packed dump.
const UNPACKED: u64 = 8;

/// Restores it once more, and compares. Its bytes have been compared before.
///
/// # Errors
/// [`RepositoryError::Damaged`] with what differs; everything else kept it from being proven.
pub async fn prove_again(cx: &mut Context, repository: &Repository, id: &str, manifest: &Manifest) -> Result<()> {
    let as_is = manifest.files.iter().all(|file| file.stored.is_none());
    if let (Some(folder), true) = (repository.location().folder(), as_is) {
        let folder = folder.join(repository.target()).join(id);
        let folder = folder.canonicalize().map_err(Error::io("find", &folder))?;
        return restore_and_compare(cx, &folder, &repository.place_of(id), manifest).await;
    }
    let scratch = Scratch::create(&cx.environment.temporary)?;
    let identities = cx.identities()?;
    let folder = scratch.path().join(id);
    fetch(repository, id, &folder, identities.as_ref(), &cx.events, &cx.cancel).await?;
    restore_and_compare(cx, &folder, &repository.place_of(id), manifest).await
}

async fn restore_and_compare(cx: &mut Context, folder: &Path, place: &str, manifest: &Manifest) -> Result<()> {
    let (jobs, cancel) = (cx.workspace.config.backup.jobs.max(1), cx.cancel.clone());
    let bytes = manifest.bytes().saturating_mul(UNPACKED);
    let sandbox = cx.sandbox(Some(manifest.client.major), Some(bytes)).await?;
    sandbox.drop_database(PROOF_DATABASE, &cancel).await?;
    sandbox.create_roles(&manifest.surroundings.roles, &cancel).await?;
    let copy = sandbox.create_database(PROOF_DATABASE, Some(&manifest.encoding), &cancel).await?;
    let archive = Archive { tools: sandbox.tools(), dump: &folder.join(DUMP_FOLDER), entries: None };
    restore::run_in_sandbox(&archive, &copy, jobs, &cancel).await?;
    let mut session = Session::connect(&copy, "proof", &cancel).await?;
    let damage = compared::with_manifest(&mut session, manifest, jobs).await?;
    session.close().await;
    if damage.is_empty() { Ok(()) } else { Err(RepositoryError::Damaged { place: place.into(), damage }.into()) }
}
