//! How far a migration goes: what `--to`, `--release` and `--expand` mean on a database.

use rehearsal::config::Config;
use rehearsal::plan;
use rehearsal::postgres::history::History;
use rehearsal::source::MigrationSet;

use crate::cli::GoalArgs;

/// The newest version to apply; all of them without one.
pub fn version(
    wanted: &GoalArgs,
    config: &Config,
    migrations: &MigrationSet,
    history: &History,
) -> Result<Option<i64>, rehearsal::Error> {
    match (&wanted.release, wanted.expand) {
        (Some(name), expand) => {
            let release = config.release(Some(name))?;
            Ok(release.map(|release| if expand { release.expanded() } else { release.to }))
        }
        (None, true) => {
            let pending = plan::up(migrations, history, None)?;
            let versions: Vec<i64> = pending.files().iter().map(|file| file.version).collect();
            Ok(config.release_to_expand(&versions)?.map(|release| release.expanded()))
        }
        (None, false) => Ok(wanted.to),
    }
}

/// The flags that mean the same again.
pub fn words(wanted: &GoalArgs) -> String {
    let to = wanted.to.map(|to| format!(" --to {to}"));
    let release = wanted.release.as_ref().map(|release| format!(" --release {release}"));
    let expand = wanted.expand.then(|| " --expand".to_owned());
    [to, release, expand].into_iter().flatten().collect()
}
