//! What the end-to-end tests share: a throwaway server for the whole test process, a database for
//! each test, a workspace of its own for the command, and the command itself as a child process.
//!
//! Nothing here stands in for PostgreSQL: every test talks to a real server, which
//! `REHEARSAL_TEST_PROVIDER` takes from `local` or `docker`. Everything that waits has a time limit.

pub mod certificates;
pub mod command;
pub mod database;
pub mod docker;
pub mod forward;
pub mod gate;
pub mod guide;
pub mod leftovers;
pub mod listening;
pub mod pooler;
pub mod project;
pub mod s3;
pub mod server;
pub mod standby;
pub mod state;
pub mod wait;
pub mod words;
pub mod workflow;

pub use command::{Ended, Running};
pub use database::Database;
pub use listening::Listening;
pub use pooler::Pooler;
pub use project::Project;
pub use s3::{Fault, S3};
pub use server::server;
pub use standby::Pair;
pub use wait::until;
