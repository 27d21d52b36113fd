//! The commands, run as a user runs them, against a real server.

mod as_before;
mod backup;
mod bad_input;
mod batches;
mod connect;
mod interrupt;
mod limits;
mod mend;
mod ready;
mod rehearse;
mod restore;
mod roles;
mod startup;
mod target;
mod together;
mod verify;

use rehearsal_tests::Project;

/// A workspace of the test's own, for this package's program.
fn project() -> Project {
    Project::new(env!("CARGO_BIN_EXE_xtask"))
}

/// A copy of this workspace.
fn this_workspace() -> Project {
    Project::of_this_workspace(env!("CARGO_BIN_EXE_xtask"))
}
