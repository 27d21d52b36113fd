//! Programs of the user's own around a run on a target: maintenance mode on and off, a service started
//! anew.

pub mod call;
pub mod failure;
pub mod hook;
mod tail;

pub use failure::HookError;
