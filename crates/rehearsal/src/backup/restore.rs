//! pg_restore into an empty database.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::postgres::tools::{Invocation, Tools};
use crate::target::Target;

/// Restores a dump folder into a database that is empty. The first error ends it.
///
/// # Errors
/// pg_restore's complaint.
pub async fn run(tools: &Tools, dump: &Path, into: &Target, jobs: usize, cancel: &CancellationToken) -> Result<()> {
    let arguments = [
        "--exit-on-error".to_owned(),
        format!("--jobs={jobs}"),
        "--no-password".to_owned(),
        format!("--dbname={}", into.database()),
        dump.display().to_string(),
    ];
    let invocation = Invocation {
        program: "pg_restore",
        arguments: &arguments,
        target: into,
        purpose: "restore",
        folder: Some(dump),
    };
    tools.run(&invocation, cancel).await.map(drop)
}
