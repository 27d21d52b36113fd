//! A record as one HTML file: no network, no framework, readable on a phone, on paper and in the dark.

mod backfills;
mod checks;
mod clients;
mod facts;
mod locks;
pub mod page;
mod schema;
mod statements;
mod steps;
mod way_back;
