//! A database that somebody depends on, and a URL that never prints its password.

mod database;
mod error;
mod options;
mod place;
mod read;
mod role;

pub use database::{SANDBOX, Target};
pub use error::TargetError;
pub use place::Host;
pub(crate) use role::Role;
