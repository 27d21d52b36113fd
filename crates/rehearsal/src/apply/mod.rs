//! Runs the files of a plan, there or back: what `migrate`, `rollback` and an app's start-up share.

pub mod batched;
mod blockers;
pub mod failure;
pub mod file;
pub mod instant;
pub mod limits;
pub mod one_transaction;
mod outside;
pub mod retry;
pub mod stepwise;
pub mod window;

pub use failure::StatementError;
pub use file::Applier;
pub use limits::{Limits, Unsure};
pub use window::WindowError;
