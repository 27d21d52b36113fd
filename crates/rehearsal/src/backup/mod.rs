//! Backups that count only once they have been restored, and tables as files for other programs.

pub mod dump;
pub mod export;
pub mod failure;
pub mod files;
pub mod manifest;
mod partial;
pub mod proof;
pub mod restore;
pub mod rows;

pub use failure::BackupError;
