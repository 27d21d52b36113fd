//! Rehearse the migration on a copy. Prove the way back. Then run the very same steps for real.
//!
//! ```text
//!  config + target ─▶ observe ─▶ plan ─▶ run(steps) ─▶ events ─▶ record ─▶ reports
//!        │                │         │         │            │          │
//!   config.rs        postgres/   plan.rs    run.rs      event.rs   record.rs
//!   target.rs        source.rs              steps/                  report/
//! ```
//!
//! * [`source::MigrationSet`] is a folder of sqlx migrations, read strictly; [`statement`] splits a
//!   file into statements with a real parser.
//! * [`plan`] is pure: migrations and history in, a [`plan::Plan`] or a [`plan::Refusal`] out.
//! * [`run::run`] is the one loop: it announces its [`steps`], runs them, and ends with one terminal event.
//! * A [`steps::Step`] works on whatever database the [`context::Context`] holds. It cannot tell a
//!   sandbox from production, so what was rehearsed is what is run.
//! * [`providers`] start throwaway servers; [`backup`] makes backups that count only once restored.
//! * [`event`]s are all that a run says; the [`record::Record`] and every [`report`] are made from them.
//!
//! The library prints nothing and asks no terminal: the shell that embeds it does.

pub mod add_only;
pub mod analysis;
pub mod anonymise;
pub mod apply;
pub mod backup;
pub mod batch_marker;
pub mod check;
mod child;
pub mod config;
pub mod context;
pub mod contract;
pub mod doctor;
pub mod error;
pub mod event;
mod head;
mod history_table;
pub mod hooks;
mod human_time;
pub mod json_schema;
pub mod log_tail;
pub mod losses;
pub mod occasion;
mod outline;
pub mod plan;
pub mod postgres;
pub mod process;
pub mod proof;
pub mod providers;
pub mod psql_script;
pub mod questions;
pub mod readiness;
pub mod record;
pub mod release;
pub mod repair;
pub mod report;
pub mod run;
pub mod schema_change;
mod sections;
pub mod smoke;
pub mod source;
pub mod standing;
pub mod startup;
pub mod statement;
pub mod steps;
pub mod store;
pub mod target;
pub mod together;
pub mod tolerance;
pub mod traffic;
mod unsupported;
mod written_rows;

pub use backup::RestoreError;
pub use error::{Error, Kind, Result};
