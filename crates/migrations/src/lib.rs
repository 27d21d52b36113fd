//! The workspace's migrations as a value: what the service applies at its start and what the
//! release tooling compares with the folder are the same bytes, because both take them from here.

use sqlx::migrate::Migrator;

/// Every file of the `migrations/` folder, embedded when this crate was compiled.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// The workspace's `rehearsal.toml`, embedded likewise: a start goes by its `[history]` and `[journal]`.
pub const REHEARSAL_TOML: &str = include_str!("../../../rehearsal.toml");
