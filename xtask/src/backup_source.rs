//! A backup that something is going to be restored from, wherever it is kept.

use std::io::Write;
use std::path::PathBuf;

use rehearsal::backup::BackupError;
use rehearsal::backup::manifest::{FILE_NAME, Manifest};
use rehearsal::backup::repository::entry::{Newest, PassedOver};
use rehearsal::backup::repository::leases::Lease;
use rehearsal::backup::repository::reference::{self, Named};
use rehearsal::backup::repository::{Repository, RepositoryError};
use rehearsal::backup::whose::Whose;
use rehearsal::postgres::connect::ConnectError;
use rehearsal::postgres::databases;
use rehearsal::providers::scratch::Scratch;
use rehearsal::report::format;
use rehearsal::steps::{Step, lists};
use rehearsal::target::Target;

use crate::out;
use crate::shell::Shell;

/// See the module.
pub enum Source {
    /// A folder that pg_restore can read. Nobody prunes it while this lives.
    Here { folder: PathBuf, lease: Option<Lease> },
    /// One that is brought here first, into a folder that goes with this.
    Elsewhere { named: Named, into: Scratch },
}

impl Source {
    /// The backup of that name, or the newest proven one of the target: of that database, if one is said.
    pub async fn of(
        shell: &Shell,
        target: &str,
        backup: Option<&str>,
        whose: Option<&Whose>,
    ) -> Result<Self, rehearsal::Error> {
        let options = &shell.environment.object_stores;
        let here = repository(shell, target)?;
        let named = match backup {
            Some(backup) => reference::named(backup, &here, options)?,
            None => {
                let Newest { id, passed_over } = here.newest(whose).await?;
                if let Some(newer) = passed_over.first() {
                    let others = match passed_over.len() - 1 {
                        0 => String::new(),
                        others => format!(" ({} not taken either)", format::plural(others as u64, "more newer one")),
                    };
                    let taken = here.place_of(&id);
                    let PassedOver { place, state } = newer;
                    // A lost stderr is no reason to restore nothing.
                    let _ = writeln!(
                        out::stderr(),
                        "warning: {place} is newer, and not taken: it is {state}{others}; taken is {taken}"
                    );
                }
                Named { repository: here.clone(), id }
            }
        };
        let Some(folder) = named.repository.location().folder() else {
            return Self::elsewhere(shell, named);
        };
        let folder = folder.join(named.repository.target()).join(&named.id);
        if !folder.is_dir() {
            let (id, place) = (named.id, named.repository.place());
            return Err(RepositoryError::NoSuchBackup { id, place }.into());
        }
        let is_encrypted = |manifest: Manifest| manifest.files.iter().any(|file| file.stored.is_some());
        if folder.join(FILE_NAME).is_file() && Manifest::read(&folder).is_ok_and(is_encrypted) {
            return Self::elsewhere(shell, named);
        }
        // Of another place we know nothing, and write nothing to it.
        let own = named.repository.place() == here.place();
        let lease = if own { Some(Lease::take(&named.repository, &named.id).await) } else { None };
        if let Some(Err(error)) = &lease {
            // A lost stderr is no reason to restore nothing.
            let _ = writeln!(out::stderr(), "warning: nothing keeps `db-backup prune` away from it: {error}");
        }
        Ok(Self::Here { folder, lease: lease.and_then(Result::ok) })
    }

    fn elsewhere(shell: &Shell, named: Named) -> Result<Self, rehearsal::Error> {
        Ok(Self::Elsewhere { named, into: Scratch::create(&shell.environment.temporary)? })
    }

    /// What it says of itself.
    pub async fn manifest(&self) -> Result<Manifest, rehearsal::Error> {
        match self {
            Self::Here { folder, .. } => Ok(Manifest::read(folder)?),
            Self::Elsewhere { named, .. } => {
                let manifest = named.repository.manifest(&named.id).await?;
                manifest.ok_or_else(|| BackupError::NoManifest { folder: self.place().into() }.into())
            }
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Here { folder, .. } => format::path(folder),
            Self::Elsewhere { named, .. } => named.repository.place_of(&named.id),
        }
    }

    /// The steps that read the backup from a folder, and before them what brings it there.
    pub fn steps(&self, read: impl FnOnce(PathBuf) -> Vec<Box<dyn Step>>) -> Vec<Box<dyn Step>> {
        match self {
            Self::Here { folder, .. } => read(folder.clone()),
            Self::Elsewhere { named, into } => {
                // A folder of its own: what is in the backup's folder belongs to it.
                let folder = into.path().join(&named.id);
                lists::fetched(named.clone(), folder.clone(), read(folder))
            }
        }
    }

    /// The backup may go again.
    pub async fn release(self) {
        if let Self::Here { lease: Some(lease), .. } = self {
            lease.end().await;
        }
    }
}

/// The database that a target leads to, also when it is gone: then by its server.
pub async fn whose(shell: &Shell, target: &Target) -> Result<Whose, rehearsal::Error> {
    let mut session = match shell.connect(target, "restore").await {
        Err(rehearsal::Error::Connect(ConnectError::NoDatabase { .. })) => {
            databases::connect_beside(target, "restore", &shell.cancel).await?
        }
        session => session?,
    };
    let whose = Whose::of(&mut session, target.database()).await?;
    session.close().await;
    Ok(whose)
}

/// Where the backups of a target are.
pub fn repository(shell: &Shell, target: &str) -> Result<Repository, rehearsal::Error> {
    let config = &shell.config.backup;
    Ok(Repository::open(&config.to, target, &shell.environment.object_stores, config.patience)?)
}
