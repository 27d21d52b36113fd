//! The ways back, put together for `rollback` and `plan --rollback`: what each does, loses, and is known to do.

use std::time::Duration;

use rehearsal::analysis::rehearsed::{Rehearsals, Returned};
use rehearsal::backup::choice;
use rehearsal::backup::manifest::Manifest;
use rehearsal::backup::since::{self, Changed, Depth};
use rehearsal::backup::whose::Whose;
use rehearsal::plan::{Plan, Refusal};
use rehearsal::postgres::Session;
use rehearsal::postgres::history::History;
use rehearsal::report::format::{path, plural};
use rehearsal::report::ways::Way;
use rehearsal::source::MigrationSet;
use rehearsal::target::Target;

use crate::backup_source;
use crate::cli::WayBack;
use crate::shell::Shell;

/// How long a way that is not taken may count for: nobody waits for what they did not ask for.
const GLANCE: Duration = Duration::from_secs(5);

/// How many tables are named.
const MOST_TABLES: usize = 12;

/// What there is to know before a way is taken.
pub struct Ways {
    /// All of them.
    pub shown: Vec<Way>,
    /// The backup that a restore would take, and its id; nothing when that could not be told in the time there was.
    pub backup: Option<Result<(String, Manifest), rehearsal::Error>>,
    /// A rehearsal of these very files did not come back.
    pub failed: Option<String>,
}

/// What is to be undone.
pub struct Undone<'a> {
    pub target: &'a Target,
    pub migrations: &'a MigrationSet,
    pub history: &'a History,
    /// The versions, newest first.
    pub versions: &'a [i64],
    /// The down files, if they lead there.
    pub plan: &'a Result<Plan, Refusal>,
}

impl Undone<'_> {
    /// The newest version that stays; 0 for none.
    pub fn goal(&self) -> i64 {
        let kept = self.history.iter().map(|applied| applied.version);
        kept.filter(|version| !self.versions.contains(version)).max().unwrap_or(0)
    }
}

/// Looks at all three. Reads only.
pub async fn look(
    shell: &Shell,
    session: &mut Session,
    undone: &Undone<'_>,
    taken: WayBack,
) -> Result<Ways, rehearsal::Error> {
    let target = undone.target.name();
    let returned = Rehearsals::read(&shell.config.records.to).way_back(undone.versions, undone.migrations, target);
    let repository = backup_source::repository(shell, target)?;
    let whose = Whose::of(session, undone.target.database()).await?;
    let found = choice::of_version(&repository, &whose, undone.goal());
    // A place that does not answer must not keep anybody from another way.
    let backup = match taken {
        WayBack::Restore => Some(found.await),
        _ => tokio::time::timeout(GLANCE, found).await.ok(),
    };
    let mut ways = vec![down(undone, returned.as_ref())];
    ways.push(match &backup {
        Some(Ok((id, manifest))) => {
            let (depth, limit) = match taken {
                WayBack::Restore => (Depth::Contents, shell.config.limits.check_timeout),
                _ => (Depth::Rows, GLANCE.min(shell.config.limits.check_timeout)),
            };
            let changed = since::since(session, manifest, &shell.config.history_table, depth, limit).await?;
            restore(&repository.place_of(id), manifest, &changed, depth)
        }
        Some(Err(error)) => way(
            "restore",
            format!("not to be had: {error}; a backup is made before each rollback, but is of what there is now"),
        ),
        None => {
            way("restore", format!("not known: {} has not answered within {} s", repository.place(), GLANCE.as_secs()))
        }
    });
    ways.push(forward(undone));
    for way in &mut ways {
        way.taken = way.name == taken.as_str();
    }
    let failed = returned.and_then(|returned| match returned {
        Returned::Failed { run_id, why, .. } => Some(format!("{run_id}: {why}")),
        Returned::Exactly { .. } => None,
    });
    Ok(Ways { shown: ways, backup, failed })
}

fn way(name: &'static str, text: String) -> Way {
    Way { name, taken: false, text, loses: Vec::new(), known: None }
}

fn down(undone: &Undone<'_>, returned: Option<&Returned>) -> Way {
    let known = match returned {
        Some(Returned::Exactly { at, copy_of, summary, .. }) => {
            let place = copy_of.as_ref().map_or("on generated data".into(), |target| format!("on a copy of {target}"));
            format!("rehearsed {} {place}: as before, {summary}", at.format("%Y-%m-%d %H:%M UTC"))
        }
        Some(Returned::Failed { at, why, .. }) => {
            format!("rehearsed {}, and did not come back: {why}", at.format("%Y-%m-%d %H:%M UTC"))
        }
        None => "not rehearsed as it is now: what it gives back is not proven".into(),
    };
    match undone.plan {
        Ok(plan) => {
            let files = plural(plan.files().len() as u64, "down file");
            let text = format!("runs {files}; rows written since stay, but for what the files throw away");
            Way { known: Some(known), ..way("down", text) }
        }
        Err(refusal) => way("down", format!("not to be had: {refusal}")),
    }
}

fn restore(place: &str, manifest: &Manifest, changed: &[Changed], depth: Depth) -> Way {
    let age = choice::age(manifest);
    let text = format!(
        "puts {place} in the place of the database, made {age} ago at version {}; what was written since is lost, but for the database that stays beside",
        manifest.migration.unwrap_or(0)
    );
    let mut loses: Vec<String> = changed_lines(changed);
    if changed.is_empty() {
        loses.push(match depth {
            Depth::Contents => "nothing was written since: every table holds the same".into(),
            Depth::Rows => {
                "every table has as many rows as then; whether they changed is read when this way is taken".into()
            }
        });
    }
    Way {
        loses,
        known: Some(format!("restored and compared when it was made: {}", manifest.proof.compared)),
        ..way("restore", text)
    }
}

/// A line for each table that is not what it was, as many as there is room for.
pub fn changed_lines(changed: &[Changed]) -> Vec<String> {
    let mut lines: Vec<String> =
        changed.iter().take(MOST_TABLES).map(|Changed { table, change }| format!("{table}: {change}")).collect();
    if changed.len() > MOST_TABLES {
        lines.push(format!("and {}", plural((changed.len() - MOST_TABLES) as u64, "more table")));
    }
    lines
}

fn forward(undone: &Undone<'_>) -> Way {
    let newest = undone.history.iter().map(|applied| applied.version).max().unwrap_or(0);
    let pending = undone.migrations.iter().find(|migration| migration.version > newest);
    let unpaired = undone
        .versions
        .iter()
        .filter(|version| undone.migrations.get(**version).is_some_and(|migration| migration.down.is_none()));
    let unpaired: Vec<String> = unpaired.map(ToString::to_string).collect();
    let mends = match pending {
        Some(next) => format!(
            "version {} ({}) is pending: if it mends what is wrong, `cargo xtask rehearse --target {2}`, then `cargo xtask migrate --target {2} --to {0}`",
            next.version,
            next.description,
            undone.target.name()
        ),
        None => format!("write {}, rehearse it, and migrate", next_file(undone.migrations)),
    };
    let why = if unpaired.is_empty() {
        String::new()
    } else {
        format!(" (version {} has no down file)", unpaired.join(", "))
    };
    way("forward", format!("writes nothing and loses nothing{why}: {mends}"))
}

/// The path of a migration behind the newest one, its number as wide as that one's.
fn next_file(migrations: &MigrationSet) -> String {
    let newest = migrations.iter().next_back();
    let name = newest.and_then(|newest| newest.up.path.file_name()?.to_str());
    let width = name.and_then(|name| name.find('_')).unwrap_or(1);
    let Some(next) = migrations.latest().unwrap_or(0).checked_add(1) else {
        return "a migration behind the newest one".into();
    };
    let folder = newest.and_then(|newest| newest.up.path.parent()).map_or("migrations".into(), path);
    format!("{folder}/{next:0width$}_mend.up.sql with its down file")
}
