//! `completions`: scripts that complete command lines, for shells to read.

mod run;

pub use run::run;
