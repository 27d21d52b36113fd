//! `doctor`: what would keep a command from working. Reads only.

mod git;
mod look;
mod run;

pub use run::run;
