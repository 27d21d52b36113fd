//! The ordered lists: which steps a command is made of.

use std::path::PathBuf;

use super::as_before::AsBefore;
use super::audit::Audit;
use super::backup::Backup;
use super::baseline::Baseline;
use super::copy::EnterCopy;
use super::migrate::Migrate;
use super::preflight::Preflight;
use super::restore::Restore;
use super::rollback::Rollback;
use super::step::Step;
use super::up_to_date::UpToDate;
use super::verify::Verify;
use crate::plan::Back;

type Steps = Vec<Box<dyn Step>>;

/// The whole release there, back, and there again, on whatever database comes before.
fn there_and_back(after: i64, to: i64) -> Steps {
    vec![
        Box::new(Preflight { to: Some(to) }),
        Box::new(Backup),
        Box::new(Audit),
        Box::new(Migrate { to: Some(to) }),
        Box::new(Verify),
        Box::new(Rollback { back: Back::To(after) }),
        Box::new(AsBefore),
        Box::new(Migrate { to: Some(to) }),
        Box::new(Verify),
    ]
}

/// A rehearsal on fixtures.
#[must_use]
pub fn rehearse(after: i64, to: i64) -> Steps {
    let mut steps: Steps = vec![Box::new(Baseline { after })];
    steps.extend(there_and_back(after, to));
    steps
}

/// A rehearsal on a copy of a target, which is only read. `after` is the target's own version.
#[must_use]
pub fn rehearse_target(after: i64, to: i64) -> Steps {
    let mut steps: Steps = vec![Box::new(Backup), Box::new(EnterCopy)];
    steps.extend(there_and_back(after, to));
    steps
}

/// `db-backup`
#[must_use]
pub fn backup() -> Steps {
    vec![Box::new(Backup)]
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

/// `verify`
#[must_use]
pub fn verify() -> Steps {
    vec![Box::new(Verify)]
}

/// `rollback`
#[must_use]
pub fn rollback(back: Back) -> Steps {
    vec![Box::new(Backup), Box::new(Rollback { back })]
}

/// `restore`
#[must_use]
pub fn restore(backup: PathBuf, into: String) -> Steps {
    vec![Box::new(Restore { backup, into })]
}
