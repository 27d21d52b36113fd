//! Backups that count only once they have been restored.

pub mod dump;
pub mod failure;
pub mod files;
pub mod manifest;
pub mod proof;
pub mod restore;

pub use failure::BackupError;
