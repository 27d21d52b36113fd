//! The commands, run as a user runs them, against a real server.

mod as_before;
mod backup;
mod bad_input;
mod batch_keys;
mod batch_pace;
mod batches;
mod batches_at_random;
mod connect;
mod contract;
mod export;
mod history;
mod hooks;
mod identity;
mod indexes;
mod interrupt;
mod journal;
mod kills;
mod large;
mod limits;
mod lock_modes;
mod losses;
mod mark_applied;
mod mend;
mod notices;
mod pauses;
mod places;
mod plan;
mod pooler;
mod questions;
mod ready;
mod rehearse;
mod release;
mod releases;
mod repair;
mod replicas;
mod restore;
mod roles;
mod settings;
mod smoke;
mod startup;
mod target;
mod tls;
mod together;
mod traffic;
mod troubles;
mod verify;
mod watch;

use rehearsal_tests::Project;

/// A workspace of the test's own, for this package's program.
fn project() -> Project {
    Project::new(env!("CARGO_BIN_EXE_xtask"))
}

/// A copy of this workspace, up to its release R2.
fn this_workspace() -> Project {
    Project::of_this_workspace(env!("CARGO_BIN_EXE_xtask"))
}

/// A copy of this workspace with all of its releases.
fn all_releases() -> Project {
    Project::with_all_releases(env!("CARGO_BIN_EXE_xtask"))
}
