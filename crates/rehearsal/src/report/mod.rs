//! What people and programs see of a run. A report knows events and records, nothing that runs.

pub mod backups;
pub mod doctor;
pub mod file;
pub mod format;
pub mod github;
pub mod html;
pub mod json;
pub mod markdown;
pub mod plan;
pub mod status;
pub mod terminal;
pub mod waiting;
pub mod ways;
