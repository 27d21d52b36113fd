//! The commands, run as a user runs them, against a real server.

mod anonymise;
mod as_before;
mod backup;
mod bad_input;
mod batch_keys;
mod batch_pace;
mod batches;
mod batches_at_random;
mod blockers;
mod colours;
mod completions;
mod connect;
mod contract;
mod doctor;
mod encrypted;
mod export;
mod faults;
mod github;
mod guide;
mod history;
mod hooks;
mod identity;
mod in_place;
mod indexes;
mod interrupt;
mod journal;
mod kills;
mod kills_at_random;
mod large;
mod limits;
mod lock_modes;
mod losses;
mod majors;
mod mark_applied;
mod mend;
mod notices;
mod pauses;
mod places;
mod plan;
mod pooler;
mod proofs;
mod prune;
mod questions;
mod ready;
mod rehearse;
mod release;
mod releases;
mod repair;
mod replicas;
mod report;
mod restore;
mod roles;
mod schema;
mod settings;
mod smoke;
mod some_tables;
mod startup;
mod stopped;
mod store;
mod swap;
mod target;
mod terminal;
mod tls;
mod together;
mod traffic;
mod troubles;
mod verify;
mod watch;
mod ways;
mod whose;
mod workflows;
mod zstd;

use rehearsal_tests::{Database, Project};

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

/// A database with that in it, and a project on it with one version, which is applied.
async fn filled(sql: &str) -> (Database, Project) {
    let database = Database::create().await;
    database.execute(sql).await;
    let project = project().migration("1_a", "CREATE TABLE a (id int);", "DROP TABLE a;").on(&database);
    project.run("migrate").await.must_exit(0);
    (database, project)
}
