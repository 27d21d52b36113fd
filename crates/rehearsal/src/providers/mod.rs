//! Throwaway servers. A provider starts one; a [`Sandbox`] removes it, whatever happens.

pub mod auto;
pub mod docker;
pub mod embedded;
pub mod local;
pub mod provider;
pub mod sandbox;
pub mod scratch;
mod sweep;
mod template;

pub use auto::start;
pub use provider::{Choice, Provider, Request, SandboxError};
pub use sandbox::Sandbox;

/// All providers, by the names that `--provider` takes.
#[must_use]
pub fn all(environment: &crate::context::Environment) -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(docker::Docker::new(environment)),
        Box::new(local::Local::new(environment)),
        Box::new(embedded::Embedded::new(environment)),
    ]
}
