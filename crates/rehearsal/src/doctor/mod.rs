//! What would keep a command from working, found before it is run. Everything is only looked at.

pub mod artefact;
pub mod backups;
pub mod database;
pub mod disk;
pub mod finding;
pub mod sandboxes;
pub mod tools;
pub mod variable;
pub mod variables;

pub use finding::{Area, Diagnosis, Finding, Level};
