//! A record as Markdown, for pull requests and job summaries.

mod changes;
mod details;
mod escape;
pub mod page;
