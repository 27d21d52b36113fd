//! Backups that count only once they have been restored, and tables as files for other programs.

pub mod beside;
pub mod choice;
mod codec;
mod compared;
pub mod dump;
pub mod export;
pub mod failure;
pub mod files;
mod growing;
pub mod in_place;
mod inside;
mod large_objects;
pub mod manifest;
mod objects;
mod pack;
mod packing_task;
pub(crate) mod partial;
mod pg_dump;
mod pool;
pub mod proof;
pub mod refusal;
pub mod repository;
pub mod restore;
pub mod rows;
mod rows_of_dump;
mod seal;
pub mod selection;
pub mod since;
mod source;
pub mod switch;
mod trial;
pub mod verdict;
pub mod whose;

pub use failure::BackupError;
pub use refusal::RestoreError;
pub use verdict::{Outcome, Proof, ProofLevel};
