//! The container engine, for the tests that are about it.

use std::collections::HashMap;
use std::io::Write;

use rehearsal::providers::{Sandbox, SandboxError, docker};
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::ContainerCreateBody;
use testcontainers::bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};

use crate::server;

/// The label by which containers name their process.
const OWNER_LABEL: &str = "rehearsal.owner";

/// Whether docker's own tests can run here. Where they cannot, that is said; on CI an engine that
/// answers must have the image.
///
/// # Panics
/// On CI, when an engine answers and has no image.
pub async fn is_usable(test: &str) -> bool {
    let engine = match engine().await {
        Ok(engine) => engine,
        Err(error) => {
            skipped(test, &error.to_string());
            return false;
        }
    };
    let image = docker::official_image(rehearsal::providers::provider::DEFAULT_MAJOR);
    let there = engine.inspect_image(&image).await.is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "an engine answers here, and has no image {image}");
    if !there {
        skipped(test, &format!("the engine has no image {image}"));
    }
    there
}

/// A server of that major version, or why there is none, which is said. It goes when it is dropped.
pub async fn of_major(test: &str, major: u32) -> Option<Sandbox> {
    let image = docker::official_image(major);
    let there = match engine().await {
        Ok(engine) => engine.inspect_image(&image).await.map_err(|_| format!("the engine has no image {image}")),
        Err(error) => Err(error.to_string()),
    };
    match there {
        Ok(_) => Some(server::of_major(major).await),
        Err(reason) => {
            skipped(test, &reason);
            None
        }
    }
}

/// Says that a test did not run. A test's own output is only shown when it fails: this is for everybody.
///
/// # Panics
/// When stderr is closed.
pub fn skipped(test: &str, reason: &str) {
    writeln!(std::io::stderr(), "skipped: {test}: {reason}").expect("stderr takes it");
}

/// The engine that the command is told of as well.
///
/// # Errors
/// When there is none of this machine.
pub async fn engine() -> Result<Docker, SandboxError> {
    docker::engine(std::env::var("DOCKER_HOST").ok().as_deref()).await
}

/// Containers that name that process as their owner, whether they run or not.
///
/// # Panics
/// When the engine does not list them.
pub async fn containers_of(pid: u32) -> Vec<String> {
    let Ok(engine) = engine().await else { return Vec::new() };
    let filters = HashMap::from([("label", vec![OWNER_LABEL])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = engine.list_containers(Some(options)).await.expect("the engine lists its containers");
    let owner = format!("{pid} ");
    containers
        .into_iter()
        .filter(|container| {
            container
                .labels
                .as_ref()
                .and_then(|labels| labels.get(OWNER_LABEL))
                .is_some_and(|label| label.starts_with(&owner))
        })
        .map(|container| format!("container {}", container.id.unwrap_or_default()))
        .collect()
}

/// Makes a container that names this owner, and does not start it.
///
/// # Panics
/// When the engine does not make it.
pub async fn create(owner: &str) -> String {
    let engine = engine().await.expect("an engine");
    let body = ContainerCreateBody {
        image: Some(docker::official_image(rehearsal::providers::provider::DEFAULT_MAJOR)),
        labels: Some([(OWNER_LABEL.to_owned(), owner.to_owned())].into()),
        ..ContainerCreateBody::default()
    };
    engine.create_container(None, body).await.expect("the engine makes a container").id
}

/// Removes a container, and says whether it was there.
///
/// # Panics
/// When there is no engine.
pub async fn remove(id: &str) -> bool {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    engine().await.expect("an engine").remove_container(id, Some(options)).await.is_ok()
}
