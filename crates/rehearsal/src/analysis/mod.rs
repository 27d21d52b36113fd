//! What is known of a statement before it runs: locks, rewrites, rows that are read, rules of a linter, and
//! what the last rehearsal of its file saw.

pub mod changes;
pub mod lint;
pub mod lint_rules;
pub mod lock_mode;
pub mod locks;
pub mod outlook;
pub mod rehearsed;
mod syntax;
pub mod type_change;
pub mod work;
