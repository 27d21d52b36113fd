//! Copies for laptops and CI: a backup restored into a sandbox, every column under a rule, dumped anew.

mod apply;
mod canary;
mod catalog;
pub mod config;
pub mod copy;
mod coverage;
mod expression;
pub mod failure;
mod fakes;
pub mod key;
mod leftovers;
pub mod mark;
mod own_tables;
mod pattern;
mod real_values;
pub mod rule;
pub mod sample;
mod scan;
mod secrets;

pub use failure::AnonymiseError;
