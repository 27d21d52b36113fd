//! `db-backup`: makes backups, and looks after those that are there.

mod check;
mod list;
mod make;
mod prune;
mod run;
mod show;
mod upload;

pub use run::run;
pub use upload::waiting;
