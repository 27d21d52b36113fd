//! The worked example: a small service that goes through the releases, one schema after another.
//!
//! ```text
//! environment -> Config -> migrate -> AppState -> router -> serve
//!                                        |           |
//!                                  pool, passwords   routes/: one file a story
//! ```
//!
//! People sign up and log in; whoever is new goes through the onboarding before the dashboard.

mod config;
mod error;
mod password;
mod routes;
mod server;
mod session;
mod startup;
mod state;
mod users;

pub use config::{Config, ConfigError, DatabaseUrl};
pub use server::{router, serve};
pub use startup::migrate;
pub use state::AppState;
