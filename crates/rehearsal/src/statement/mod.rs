//! A migration file, split into statements by a real SQL parser and put into classes.
//!
//! Never by `;`: dollar quotes, nested comments and `BEGIN ATOMIC` bodies hold those too. Where the
//! parser does not understand a file, the file is sent whole, as sqlx sends it, and that is said.

mod class;
mod classify;
mod file;
mod one;
mod split;

pub use class::{Action, Batch, Class, ClassLabel, IndexBuild, Reindexed};
pub use file::{Mode, Parsed};
pub use one::{Statement, summary};
pub use split::parse;
