//! The container engine, for the tests that are about it.

use std::collections::HashMap;
use std::io::Write;

use rehearsal::providers::docker;
use testcontainers::bollard::query_parameters::ListContainersOptionsBuilder;

/// The label by which containers name their process.
const OWNER_LABEL: &str = "rehearsal.owner";

/// Whether docker's own tests can run here. Where they cannot, that is said; on CI an engine that
/// answers must have the image.
///
/// # Panics
/// On CI, when an engine answers and has no image.
pub async fn is_usable(test: &str) -> bool {
    let engine = match docker::engine().await {
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

/// Says that a test did not run. A test's own output is only shown when it fails: this is for everybody.
///
/// # Panics
/// When stderr is closed.
pub fn skipped(test: &str, reason: &str) {
    writeln!(std::io::stderr(), "skipped: {test}: {reason}").expect("stderr takes it");
}

/// Containers that name that process as their owner, whether they run or not.
///
/// # Panics
/// When the engine does not list them.
pub async fn containers_of(pid: u32) -> Vec<String> {
    let Ok(engine) = docker::engine().await else { return Vec::new() };
    let filters = HashMap::from([("label", vec![OWNER_LABEL])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = engine.list_containers(Some(options)).await.expect("the engine lists its containers");
    let owner = format!("{pid} ");
    containers
        .into_iter()
        .filter(|container| {
            container.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL)).is_some_and(|label| label.starts_with(&owner))
        })
        .map(|container| format!("container {}", container.id.unwrap_or_default()))
        .collect()
}
