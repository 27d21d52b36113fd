//! Runs the files of a plan, there or back: what `migrate`, `rollback` and an app's start-up share.

pub mod batched;
mod blockers;
mod detach;
pub mod failure;
pub mod file;
mod index;
pub mod instant;
pub mod limits;
pub mod one_transaction;
mod outside;
pub mod own_limits;
mod reindex;
pub mod retry;
mod spot;
pub mod stepwise;
mod waiting;
pub mod window;

pub use failure::StatementError;
pub use file::Applier;
pub use limits::{Limits, Unsure};
pub use own_limits::OwnLimits;
pub use window::WindowError;
