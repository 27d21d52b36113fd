//! The worked example: a small service that goes through the releases, one schema after another.
//!
//! ```text
//! environment -> Config -> migrate -> AppState -> router -> serve
//!                                        |           |
//!                                  pool, passwords   routes/: one file a story
//! ```
//!
//! People sign up and log in; whoever is new goes through the onboarding before the dashboard.
//! They keep tasks, talk in conversations, race with profiles and vehicles, teach, and may have a
//! tenant: a schema of their username.

mod admin;
mod config;
mod error;
mod extract;
mod fields;
mod page;
mod password;
mod profiles;
mod routes;
mod secrets;
mod server;
mod session;
mod startup;
mod state;
mod usernames;
mod users;

pub use config::{Config, ConfigError, Environment};
pub use secrets::{AdminToken, DatabaseUrl, SessionSecret};
pub use server::{router, serve};
pub use startup::migrate;
pub use state::AppState;
