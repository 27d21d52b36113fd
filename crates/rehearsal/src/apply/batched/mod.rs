//! A statement in key ranges: each batch is its own transaction and carries its own checkpoint.

mod course;
pub(crate) mod key;
mod pace;
pub(crate) mod pauses;
mod texts;
pub(crate) mod walk;
