//! Which of them is meant.

use rehearsal::backup::ProofLevel;
use rehearsal::backup::export::Wanted;
use rehearsal::backup::repository::Repository;

use super::{check, list, make, prune, show, upload};
use crate::backup_source;
use crate::cli::{BackupCommand, SandboxArgs};
use crate::shell::Shell;

pub async fn run(
    shell: Shell,
    about: Option<BackupCommand>,
    wanted: Wanted,
    proof: Option<ProofLevel>,
    sandbox: &SandboxArgs,
) -> anyhow::Result<()> {
    match about {
        None => make::run(shell, wanted, proof, sandbox).await,
        Some(BackupCommand::List) => list::run(&shell).await,
        Some(BackupCommand::Show { backup }) => show::run(&shell, &backup).await,
        Some(BackupCommand::Check { backup, all, subset, restore, sandbox }) => {
            check::run(shell, backup, all, subset, restore, &sandbox).await
        }
        Some(BackupCommand::Prune { dry_run }) => prune::run(shell, dry_run).await,
        Some(BackupCommand::Upload) => upload::run(shell).await,
    }
}

/// The place of the backups of the target that is meant. Its database need not be there.
pub fn repository(shell: &Shell) -> Result<Repository, rehearsal::Error> {
    let name = shell.target_name();
    shell.config.target(name)?;
    backup_source::repository(shell, name)
}
