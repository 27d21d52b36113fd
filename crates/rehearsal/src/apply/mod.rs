//! Runs the files of a plan, there or back: what `migrate`, `rollback` and an app's start-up share.

pub mod batch;
mod blockers;
pub mod failure;
pub mod file;
pub mod instant;
pub mod limits;
pub mod one_transaction;
mod outside;
pub mod own_limits;
pub mod retry;
mod spot;
pub mod stepwise;

pub use failure::StatementError;
pub use file::Applier;
pub use limits::{Limits, Unsure};
pub use own_limits::OwnLimits;
