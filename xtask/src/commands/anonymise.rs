//! `anonymise`: a copy of a backup in which every column has a rule.

use rehearsal::anonymise::AnonymiseError;
use rehearsal::anonymise::copy::Wanted;
use rehearsal::anonymise::key::Key;
use rehearsal::anonymise::mark::{self, KeyOrigin};
use rehearsal::anonymise::sample::Share;
use rehearsal::run::Command;
use rehearsal::steps::lists;

use super::db_backup::waiting;
use crate::backup_source::Source;
use crate::cli::SandboxArgs;
use crate::machine;
use crate::shell::Shell;

pub async fn run(
    shell: Shell,
    backup: Option<String>,
    fresh: bool,
    sample: Option<Share>,
    random_key: bool,
    sandbox: &SandboxArgs,
) -> anyhow::Result<()> {
    let name = shell.common.target.clone().unwrap_or_else(|| shell.config.default_target.clone());
    shell.config.target(&name).map_err(rehearsal::Error::from)?;
    let (key, key_origin) = key(random_key).map_err(rehearsal::Error::from)?;
    // A backup that is there needs no database: the copy can be made where nobody has its URL.
    let target = if fresh { Some(shell.target().await?) } else { None };
    let source = if fresh { None } else { Some(Source::of(&shell, &name, backup.as_deref(), None).await?) };
    let wanted = |backup| Wanted { backup, key, key_origin, sample };
    let steps = match &source {
        None => lists::anonymise(wanted(None)),
        Some(source) => source.steps(|folder| lists::anonymise(wanted(Some(folder)))),
    };
    // What is made already is safe before something new is begun.
    let steps = waiting(&shell, &mark::folder_name(&name))?.into_iter().chain(steps).collect();
    let command = Command {
        name: "anonymise",
        target: target.as_ref().map_or(name, ToString::to_string),
        retry: None,
        release: None,
        next: Some("restore it elsewhere with `cargo xtask restore FOLDER --target NAME`".into()),
        steps,
    };
    let settings = shell.settings(Some(sandbox));
    let workspace = shell.workspace()?;
    let outcome = shell.run(command, workspace, settings, target, |_| {}).await;
    if let Some(source) = source {
        source.release().await;
    }
    outcome
}

fn key(random: bool) -> Result<(Key, KeyOrigin), AnonymiseError> {
    if random {
        return Ok((Key::random()?, KeyOrigin::Random));
    }
    let key = machine::anonymise_key().ok_or(AnonymiseError::NoKey)?;
    Ok((Key::new(key)?, KeyOrigin::Own))
}
