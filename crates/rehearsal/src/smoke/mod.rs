//! Smoke tests: requests to a service that runs, and what they must be answered with.

pub mod app;
pub mod client;
pub mod expectation;
pub mod failure;
pub mod request;
pub mod secrets;
pub mod service;
pub mod subject;
pub mod template;

pub use failure::SmokeError;
