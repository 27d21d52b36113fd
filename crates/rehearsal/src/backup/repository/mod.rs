//! Where backups live: a folder, or an object store. One way to write, list, read, check and remove them.

pub mod attempts;
pub mod check;
pub mod entry;
pub mod failure;
pub mod fetch;
pub mod identities;
pub mod leases;
pub mod listing;
pub mod location;
mod object;
pub mod options;
pub mod place;
mod private;
pub mod prune;
mod receive;
pub mod recipients;
pub mod reference;
pub mod reproof;
pub mod retention;
mod send;
mod sent;
pub mod staging;
mod store;
pub mod stored;
pub mod upload;

pub use failure::RepositoryError;
pub use location::Location;
pub use place::Repository;
