//! PostgreSQL's client programs: whether those of some place fit the target's server.

use super::finding::{Area, Finding};
use crate::context::Environment;
use crate::error::Kind;
use crate::postgres::programs::{self, Installation};
use crate::postgres::tools::{ToolError, fits};
use crate::postgres::version::Version;
use crate::providers::docker;

/// Looks for programs for that server; without one, at what there is.
pub async fn look(environment: &Environment, server: Option<Version>) -> Vec<Finding> {
    let (folders, path) = (environment.program_folders.clone(), environment.path.clone());
    // Each is asked for its version, which blocks.
    let found = tokio::task::spawn_blocking(move || programs::find(&folders, &path)).await.unwrap_or_default();
    let dump = match server {
        Some(server) => for_server(environment, &found, server).await,
        None => of_machine(&found),
    };
    vec![dump, psql(&found)]
}

async fn for_server(environment: &Environment, found: &[Installation], server: Version) -> Finding {
    let has_both = |installation: &&Installation| installation.folder.join("pg_restore").is_file();
    let fitting = || found.iter().filter(|installation| fits(installation.version, server));
    if let Some(Installation { folder, version, .. }) = fitting().find(has_both) {
        let what = format!("pg_dump and pg_restore {version} ({}) fit the server ({server})", folder.display());
        return Finding::ok(Area::Tools, what);
    }
    if let Some(Installation { folder, version, .. }) = fitting().next() {
        return Finding::problem(
            Area::Tools,
            Kind::Usage,
            format!("pg_dump {version} ({}) has no pg_restore beside it", folder.display()),
            format!(
                "install all of PostgreSQL's client programs (Debian: apt-get install postgresql-client-{})",
                version.major
            ),
        );
    }
    let versions = versions(found);
    let image = docker::official_image(server.major);
    let none = || ToolError::NoFit { server, found: versions.clone() };
    let pull = format!("docker pull {image}, or {}", none().hint());
    match docker::has_image(environment.docker_host.as_deref(), &image).await {
        Ok(true) => Finding::ok(
            Area::Tools,
            format!(
                "no pg_dump of this machine fits the server ({server}); that of the image {image} is taken, if it does"
            ),
        ),
        Ok(false) => Finding::warning(
            Area::Tools,
            format!(
                "no pg_dump of this machine fits the server ({server}; found: {versions}); the image {image} would be pulled"
            ),
            pull,
        ),
        Err(_) => Finding::problem(Area::Tools, none().kind(), none().to_string(), none().hint()),
    }
}

fn of_machine(found: &[Installation]) -> Finding {
    if found.is_empty() {
        return Finding::warning(
            Area::Tools,
            "no pg_dump on this machine",
            "install PostgreSQL's client programs of the server's version, or have a container engine at hand",
        );
    }
    Finding::ok(Area::Tools, format!("pg_dump {}; not compared, as no server has answered", versions(found)))
}

fn psql(found: &[Installation]) -> Finding {
    match found.iter().find(|installation| installation.folder.join("psql").is_file()) {
        Some(Installation { folder, version, .. }) => {
            Finding::ok(Area::Tools, format!("psql {version} ({})", folder.display()))
        }
        None => Finding::warning(
            Area::Tools,
            "no psql on this machine: nothing here needs it but whoever runs the scripts of `plan --sql`",
            "install PostgreSQL's client programs, if you want to run those",
        ),
    }
}

fn versions(found: &[Installation]) -> String {
    let versions: Vec<String> = found.iter().map(|installation| installation.version.to_string()).collect();
    if versions.is_empty() { "none".into() } else { versions.join(", ") }
}
