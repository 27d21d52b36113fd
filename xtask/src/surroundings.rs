//! What stands around a change of a target: the answers of people, and the hooks.

use rehearsal::config::Config;
use rehearsal::event::MigrationDigest;
use rehearsal::hooks::HookError;
use rehearsal::hooks::call::Call;
use rehearsal::hooks::hook::Hook;
use rehearsal::occasion::{Act, Occasion};
use rehearsal::run;
use rehearsal::smoke::secrets::Secrets;
use rehearsal::source::MigrationSet;
use rehearsal::steps::lists::Surroundings;

use crate::cli::AnswerArgs;
use crate::shell::Shell;
use crate::{machine, questions};

/// What is going to be done to a target.
pub struct Change<'a> {
    pub act: Act,
    pub target: &'a str,
    /// The versions that come or go.
    pub versions: &'a [i64],
    pub migrations: &'a MigrationSet,
    /// The command line that does it.
    pub words: String,
}

impl Change<'_> {
    /// What hooks and questions are chosen by.
    pub fn occasion(&self, config: &Config) -> Occasion {
        let concerned = |name: &str| {
            let of = |version: i64| config.release_of(version).is_some_and(|release| release.name == name);
            self.versions.iter().any(|version| of(*version))
        };
        let names = config.releases.iter().map(|release| release.name.as_str());
        let releases = names.filter(|name| concerned(name)).map(str::to_owned).collect();
        Occasion { act: self.act, target: self.target.into(), releases }
    }

    /// What answers are given for.
    pub fn digests(&self) -> Vec<MigrationDigest> {
        let migrations = self.versions.iter().filter_map(|version| self.migrations.get(*version));
        migrations.map(run::digest).collect()
    }
}

/// Asks people what only they know, and gathers the hooks.
pub async fn of(shell: &Shell, change: &Change<'_>, answers: &AnswerArgs) -> anyhow::Result<Surroundings> {
    let run = change.occasion(&shell.config);
    let hooks = shell.config.hooks.iter().filter(|hook| hook.applies(&run));
    // What is not usable is told before anybody is asked.
    let hooks: Result<Vec<Call>, HookError> = hooks.map(|hook| call(hook, &run)).collect();
    let hooks = hooks.map_err(rehearsal::Error::from)?;
    let answers = questions::answered(shell, change, answers).await?;
    Ok(Surroundings { answers, hooks })
}

fn call(hook: &Hook, run: &Occasion) -> Result<Call, HookError> {
    let missing = |variable: &String| HookError::NoSecret { name: hook.name.clone(), variable: variable.clone() };
    let value = |variable: &String| {
        let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
        value.map(|value| (variable.clone(), value)).ok_or_else(|| missing(variable))
    };
    let secrets: Secrets = hook.secrets.iter().map(value).collect::<Result<Vec<_>, _>>()?.into_iter().collect();
    Ok(Call { hook: hook.clone(), occasion: run.clone(), inherited: machine::inherited(), secrets })
}
