//! A statement in key ranges: each batch is its own transaction and carries its own checkpoint.

pub(super) mod key;
mod pace;
pub(super) mod pauses;
mod texts;
pub(super) mod walk;
