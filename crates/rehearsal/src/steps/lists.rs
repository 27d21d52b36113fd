//! The ordered lists: which steps a command is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::anonymise::Anonymise;
use super::answered::Answered;
use super::as_before::AsBefore;
use super::audit::Audit;
use super::backup::Backup;
use super::baseline::Baseline;
use super::check_backups::{CheckBackups, How, Which};
use super::contract::Contract;
use super::copy::EnterCopy;
use super::export::Export;
use super::fetch::Fetch;
use super::hook::RunHook;
use super::mark::Mark;
use super::migrate::Migrate;
use super::preflight::Preflight;
use super::prove::Prove;
use super::prune::Prune;
use super::repair::Repair;
use super::reset::Reset;
use super::restore::{Into, Restore};
use super::rollback::Rollback;
use super::smoke::Smoke;
use super::step::Step;
use super::under_traffic::UnderTraffic;
use super::up_to_date::UpToDate;
use super::upload::Upload;
use super::verify::Verify;
use super::watch::Watch;
use crate::anonymise::copy;
use crate::backup::ProofLevel;
use crate::backup::export::Wanted;
use crate::backup::repository::reference::Named;
use crate::backup::repository::staging::Staged;
use crate::hooks::call::Call;
use crate::hooks::hook::When;
use crate::plan::Back;
use crate::questions::answers::Answer;
use crate::smoke::subject::Subject;

/// Steps, in their order.
pub type Steps = Vec<Box<dyn Step>>;

/// Where a rehearsal stops on its way there, to look at what it has.
pub struct Stop {
    /// The version.
    pub version: i64,
    /// The services that must work with it.
    pub services: Vec<Arc<Subject>>,
}

/// What a rehearsal goes through.
pub struct Rehearsal {
    /// The version that it begins at.
    pub after: i64,
    /// What stays when it comes back to where it began.
    pub back: Back,
    /// The services that must work with what is there before.
    pub services: Vec<Arc<Subject>>,
    /// On the way there it is looked at each of these: the last one is the goal, the others are where old
    /// and new code meet.
    pub stops: Vec<Stop>,
    /// The queries of the code that is made for the goal, with the first version that it works with: they
    /// must fit at each stop from there on.
    pub contract: Option<(PathBuf, i64)>,
    /// Once more while clients read and write.
    pub traffic: bool,
}

/// What stands around a run on a target.
#[derive(Default)]
pub struct Surroundings {
    /// What people answered.
    pub answers: Vec<Answer>,
    /// The hooks, in the order of the file.
    pub hooks: Vec<Call>,
}

/// A run on a target with what stands around it. Hooks come before all else, so that those for the end have
/// always something to put back.
#[must_use]
pub fn within(surroundings: Surroundings, steps: Steps) -> Steps {
    let Surroundings { answers, hooks } = surroundings;
    let hooks = |when: When| hooks.iter().filter(move |call| call.hook.when == when).cloned().map(run_hook);
    let mut all: Steps = Vec::new();
    if !answers.is_empty() {
        all.push(Box::new(Answered { answers }));
    }
    all.extend(hooks(When::Before));
    all.extend(steps);
    all.extend(hooks(When::After));
    all.extend(hooks(When::Always));
    all
}

fn run_hook(call: Call) -> Box<dyn Step> {
    Box::new(RunHook { call })
}

/// There, back, and there again, on whatever database comes before.
fn there_and_back(rehearsal: &Rehearsal) -> Steps {
    let Rehearsal { after, back, services, stops, contract, traffic } = rehearsal;
    let (after, to) = (*after, stops.last().map(|stop| stop.version));
    let mut steps: Steps =
        vec![Box::new(Preflight { to }), Box::new(Backup { proof: None, read_next: false }), Box::new(Audit)];
    steps.extend(smoke_tests(services));
    for stop in stops {
        steps.push(Box::new(Migrate { to: Some(stop.version) }));
        steps.push(Box::new(Verify));
        let fits = contract.as_ref().filter(|(_, first)| stop.version >= *first);
        steps.extend(contract_of(fits.map(|(folder, _)| folder.clone())));
        steps.extend(smoke_tests(&stop.services));
    }
    steps.push(Box::new(Rollback { back: back.clone() }));
    steps.push(Box::new(AsBefore));
    if *traffic {
        // Not the first time: what clients write cannot be compared with what was there. From the same rows as
        // the first time all the same.
        steps.push(Box::new(Reset));
        let lower = std::iter::once(after).chain(stops.iter().map(|stop| stop.version));
        let parts: Vec<(i64, i64)> = lower.zip(stops.iter().map(|stop| stop.version)).collect();
        for &(lower, upper) in &parts {
            let step = Box::new(Migrate { to: Some(upper) });
            steps.push(Box::new(UnderTraffic { step, lower, upper }));
        }
        steps.push(Box::new(Verify));
        // The way back takes what was written since, and serves whoever is at work in each of its parts.
        for &(lower, upper) in parts.iter().rev() {
            let back = if lower == after { back.clone() } else { Back::To(lower) };
            steps.push(Box::new(UnderTraffic { step: Box::new(Rollback { back }), lower, upper }));
        }
    }
    steps.push(Box::new(Migrate { to }));
    steps.push(Box::new(Verify));
    steps
}

fn smoke_tests(services: &[Arc<Subject>]) -> Steps {
    services.iter().map(|subject| -> Box<dyn Step> { Box::new(Smoke { subject: Arc::clone(subject) }) }).collect()
}

fn contract_of(queries: Option<PathBuf>) -> Option<Box<dyn Step>> {
    queries.map(|folder| -> Box<dyn Step> { Box::new(Contract { folder }) })
}

/// A rehearsal on fixtures.
#[must_use]
pub fn rehearse(rehearsal: &Rehearsal) -> Steps {
    let mut steps: Steps = vec![Box::new(Baseline { after: rehearsal.after })];
    steps.extend(there_and_back(rehearsal));
    steps
}

/// A rehearsal on a copy of a target, which is only read, from the target's own version on.
#[must_use]
pub fn rehearse_target(rehearsal: &Rehearsal) -> Steps {
    let mut steps: Steps = vec![Box::new(Backup { proof: None, read_next: false }), Box::new(EnterCopy)];
    steps.extend(there_and_back(rehearsal));
    steps
}

/// `smoke`
#[must_use]
pub fn smoke(service: &Arc<Subject>) -> Steps {
    smoke_tests(std::slice::from_ref(service))
}

/// `db-backup`
#[must_use]
pub fn backup(proof: ProofLevel) -> Steps {
    vec![Box::new(Backup { proof: Some(proof), read_next: false })]
}

/// Before a backup, or alone as `db-backup upload`: what earlier runs could not send.
#[must_use]
pub fn upload(target: String, waiting: Vec<Staged>) -> Steps {
    vec![Box::new(Upload { target, waiting })]
}

/// `db-backup check`
#[must_use]
pub fn check_backups(target: String, which: Which, how: How) -> Steps {
    vec![Box::new(CheckBackups { target, which, how })]
}

/// `db-backup prune`, when it is decided and confirmed.
#[must_use]
pub fn prune(target: String, backups: Vec<String>, abandoned: Vec<String>) -> Steps {
    vec![Box::new(Prune { target, backups, abandoned })]
}

/// Something that reads a backup from a folder, for one that is elsewhere or encrypted: it is brought there
/// first.
#[must_use]
pub fn fetched(named: Named, into: PathBuf, steps: Steps) -> Steps {
    let mut all: Steps = vec![Box::new(Fetch { named, into })];
    all.extend(steps);
    all
}

/// `anonymise`, of a backup that is there or of one that is made first.
#[must_use]
pub fn anonymise(wanted: copy::Wanted) -> Steps {
    let mut steps: Steps = Vec::new();
    if wanted.backup.is_none() {
        steps.push(Box::new(Backup { proof: None, read_next: true }));
    }
    steps.push(Box::new(Anonymise { wanted }));
    steps
}

/// `db-backup --tables`
#[must_use]
pub fn export(wanted: Wanted) -> Steps {
    vec![Box::new(Export { wanted })]
}

/// `migrate`
#[must_use]
pub fn migrate(to: Option<i64>) -> Steps {
    vec![Box::new(Preflight { to }), Box::new(Audit), Box::new(Migrate { to })]
}

/// `migrate`, `rollback` or `rehearse` when there is nothing to do.
#[must_use]
pub fn nothing(at: i64) -> Steps {
    vec![Box::new(UpToDate { at })]
}

/// `verify`, with the code's queries if their folder is given.
#[must_use]
pub fn verify(contract: Option<PathBuf>) -> Steps {
    let mut steps: Steps = vec![Box::new(Verify)];
    steps.extend(contract_of(contract));
    steps
}

/// `watch`
#[must_use]
pub fn watch(lasts: Duration, every: Duration) -> Steps {
    vec![Box::new(Watch { lasts, every })]
}

/// `rollback`
#[must_use]
pub fn rollback(back: Back) -> Steps {
    vec![Box::new(Backup { proof: None, read_next: false }), Box::new(Rollback { back })]
}

/// `rollback --way restore`: what is given up is in a backup of its own, and beside.
#[must_use]
pub fn rollback_by_restore(backup: PathBuf, keeps: String) -> Steps {
    vec![
        Box::new(Backup { proof: None, read_next: false }),
        Box::new(Restore { backup, into: Into::Place { keeps }, tables: Vec::new(), anonymised: false }),
    ]
}

/// `mark-applied`
#[must_use]
pub fn mark_applied(version: i64, force: bool, reason: Option<String>) -> Steps {
    vec![Box::new(Prove { version, force }), Box::new(Mark { version, reason })]
}

/// `repair`
#[must_use]
pub fn repair(version: i64, reason: String) -> Steps {
    vec![Box::new(Repair { version, reason })]
}

/// `restore`
#[must_use]
pub fn restore(restore: Restore) -> Steps {
    let mut steps: Steps = Vec::new();
    if restore.into == Into::Contents {
        // What is given up is in a backup of its own, and nowhere else.
        steps.push(Box::new(Backup { proof: None, read_next: false }));
    }
    steps.push(Box::new(restore));
    steps
}
