//! What only a person can answer before a target is changed, and the answers that were given.

pub mod answers;
pub mod failure;
pub mod question;

pub use failure::QuestionError;
