//! The only room that opens connections and starts PostgreSQL's programs.

pub mod archive;
pub mod catalog;
pub mod connect;
pub(crate) mod container;
pub mod contents;
pub mod history;
pub mod identifier;
pub mod identity;
pub mod journal;
pub mod lock_watch;
pub mod locks;
pub mod notices;
pub mod overrides;
pub(crate) mod parameters;
pub mod pooler;
pub mod programs;
pub mod query;
pub mod relations;
pub mod schema;
pub mod sequences;
pub mod session;
pub mod settings;
pub mod tools;
pub mod version;

pub use connect::{CONNECT_TIMEOUT, ConnectError};
pub use locks::BusyError;
pub use query::QueryError;
pub use session::Session;
pub use tools::{ToolError, Tools};
