//! What a run is made of: one file a step, and the ordered lists.

pub mod anonymise;
pub mod answered;
pub mod as_before;
pub mod audit;
pub mod backup;
pub mod baseline;
pub mod check_backups;
pub mod checking;
mod clients;
pub mod contract;
pub mod copy;
pub mod counted;
pub mod export;
pub mod fetch;
pub mod hook;
pub mod lists;
pub mod mark;
pub mod migrate;
pub mod observe;
pub mod preflight;
pub mod prove;
pub mod prune;
pub mod repair;
pub mod reset;
pub mod restore;
pub mod rollback;
pub mod smoke;
pub mod step;
pub mod under_traffic;
pub mod up_to_date;
pub mod upload;
pub mod verify;
pub mod watch;

pub use step::{Step, StepReport};
