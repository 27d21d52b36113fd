//! A run as GitHub Actions shows it: marks at lines of files, and the summary of a job.

pub mod annotations;
pub mod command;
pub mod summary;
