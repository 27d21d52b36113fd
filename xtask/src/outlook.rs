//! What a plan looks like before it runs: the library's parts, put together for `plan` and `rollback`.

use std::collections::{BTreeMap, HashMap};

use rehearsal::analysis::changes;
use rehearsal::analysis::outlook::{self, Known, Outlook};
use rehearsal::analysis::rehearsed::Rehearsals;
use rehearsal::hooks::hook::When;
use rehearsal::losses;
use rehearsal::plan::Plan;
use rehearsal::postgres::Session;
use rehearsal::postgres::history::History;
use rehearsal::postgres::relations;
use rehearsal::psql_script::Heading;
use rehearsal::report::plan::{FORMAT, HookLine, Loss, OpenQuestion, Page, Report};
use rehearsal::source::MigrationSet;
use rehearsal::steps::counted::{self, Counted};
use rehearsal::target::Target;

use crate::questions;
use crate::shell::Shell;
use crate::surroundings::Change;

/// The width of a line where no terminal tells: what a pull request shows without a scroll bar.
const WIDTH: usize = 120;

/// What is going to happen to a target, and what was found out about it.
pub struct Foreseen {
    target: String,
    now: i64,
    after: i64,
    notes: Vec<String>,
    outlook: Outlook,
    losses: Vec<Counted>,
    changes: Vec<changes::Change>,
}

/// How long the steps of this plan took in rehearsals of the same files.
pub fn planned(shell: &Shell, target: &Target, plan: &Plan, migrations: &MigrationSet) -> BTreeMap<String, u64> {
    if plan.is_empty() {
        return BTreeMap::new();
    }
    Rehearsals::read(&shell.config.records.to).planned(plan.files(), migrations, target.name())
}

/// Looks at the target, and at the rehearsals of the plan's files. Reads only.
pub async fn foresee(
    shell: &Shell,
    session: &mut Session,
    target: &Target,
    plan: &Plan,
    migrations: &MigrationSet,
    history: &History,
) -> Result<Foreseen, rehearsal::Error> {
    let names = outlook::relations(plan);
    let relations = if names.is_empty() { HashMap::new() } else { relations::look(session, &names).await? };
    let rehearsals = if plan.is_empty() { Rehearsals::default() } else { Rehearsals::read(&shell.config.records.to) };
    let release_of = |version| shell.config.release_of(version);
    let known = Known {
        migrations,
        target: target.name(),
        server: session.version(),
        relations: &relations,
        rehearsals: &rehearsals,
        lint: &shell.config.lint,
        keeps_code_working: &|version| release_of(version).is_none_or(|release| version <= release.expanded()),
    };
    let losses = losses::of(plan);
    let losses = counted::count(session, &losses, shell.config.limits.check_timeout).await?;
    let planned = |version: &i64| plan.files().iter().any(|file| file.version == *version);
    let goes_back = plan.files().iter().any(|file| file.direction == rehearsal::plan::Direction::Down);
    let applied = history.iter().filter(|applied| applied.success).map(|applied| applied.version);
    let kept = applied.filter(|version| !goes_back || !planned(version));
    let added = plan.files().iter().map(|file| file.version).filter(|_| !goes_back);
    Ok(Foreseen {
        target: target.to_string(),
        now: history.latest_finished().unwrap_or_default(),
        after: kept.chain(added).max().unwrap_or_default(),
        notes: plan.notes().to_vec(),
        outlook: outlook::of(plan, &known),
        losses,
        changes: changes::of(plan),
    })
}

impl Foreseen {
    /// What stands above a script of the plan.
    pub fn heading(&self) -> Heading<'_> {
        let at = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        Heading { target: &self.target, at, versions: (self.now, self.after) }
    }

    /// As the report has it, with hooks and questions.
    pub fn report<'a>(&'a self, shell: &'a Shell, change: &'a Change<'_>) -> Report<'a> {
        let run = change.occasion(&shell.config);
        let hooks = [When::Before, When::After, When::Always].into_iter().flat_map(|when| {
            let applies = shell.config.hooks.iter().filter(|hook| hook.applies(&run)).collect::<Vec<_>>();
            applies.into_iter().filter(move |hook| hook.when == when)
        });
        let open = questions::open(&shell.config, change);
        Report {
            format: FORMAT,
            target: &self.target,
            now: self.now,
            after: self.after,
            notes: &self.notes,
            outlook: &self.outlook,
            changes: &self.changes,
            losses: self.losses.iter().map(|Counted { what, amount }| Loss { what, amount }).collect(),
            hooks: hooks
                .map(|hook| HookLine { when: hook.when.as_str(), name: &hook.name, command: hook.words() })
                .collect(),
            ways: Vec::new(),
            questions: open.into_iter().map(|question| OpenQuestion { id: &question.id, ask: &question.ask }).collect(),
        }
    }
}

/// How wide what is shown may be, and how much of it is wanted.
pub fn page(shell: &Shell, stream: impl rustix::fd::AsFd) -> Page {
    Page { width: width(stream), verbose: shell.common.verbose }
}

/// How wide a line may be there, in characters.
pub fn width(stream: impl rustix::fd::AsFd) -> usize {
    let columns = rustix::termios::tcgetwinsize(stream).map(|size| usize::from(size.ws_col));
    columns.ok().filter(|columns| *columns > 0).unwrap_or(WIDTH)
}
