//! `bench`: speed as ratios against the tools that a user would use otherwise. One file a figure.

mod backfill;
mod backup;
mod clients;
mod cost;
mod docker_start;
mod figure;
mod local_start;
mod no_op;
mod place;
mod rehearsal;
mod restore;
mod revert_all;
mod run;
mod samples;
mod small_files;
mod status;
mod users;

pub use run::run;

/// All figures, in the order in which they are measured.
fn figures() -> Vec<Box<dyn figure::Figure>> {
    vec![
        Box::new(no_op::NoOp),
        Box::new(status::Status),
        Box::new(small_files::SmallFiles),
        Box::new(revert_all::RevertAll),
        Box::new(local_start::LocalStart),
        Box::new(docker_start::DockerStart),
        Box::new(backfill::Backfill),
        Box::new(clients::Held),
        Box::new(backup::Backup),
        Box::new(restore::Restore),
        Box::new(rehearsal::Rehearsal),
    ]
}
