//! `db-backup check`: reads backups again.

use rehearsal::backup::repository::check::Share;
use rehearsal::backup::repository::reference;
use rehearsal::run::Command;
use rehearsal::steps::check_backups::{How, Which};
use rehearsal::steps::lists;

use crate::cli::SandboxArgs;
use crate::exit;
use crate::shell::Shell;

pub async fn run(
    shell: Shell,
    backup: Option<String>,
    all: bool,
    share: Option<Share>,
    restore: bool,
    sandbox: &SandboxArgs,
) -> anyhow::Result<()> {
    let here = super::run::repository(&shell)?;
    let which = match backup {
        Some(backup) => {
            let named =
                reference::named(&backup, &here, &shell.environment.object_stores).map_err(rehearsal::Error::from)?;
            if named.repository.place() != here.place() {
                return Err(exit::usage(
                    format!("{backup} is not of {}", here.place()),
                    "name the target that it is of with --target, and its place as `backup.to`",
                ));
            }
            Which::One(named.id)
        }
        None if all => Which::All,
        None => Which::Newest,
    };
    let name = shell.target_name().to_owned();
    let steps = lists::check_backups(name.clone(), which, How { share, restore });
    let command = Command { name: "db-backup-check", target: name, retry: None, release: None, steps, next: None };
    let (settings, workspace) = (shell.settings(Some(sandbox)), shell.workspace()?);
    shell.run(command, workspace, settings, None, |_| {}).await
}
