//! One run of a client program out of an image, where this machine has none that fits.

use std::time::Duration;

use futures_util::StreamExt;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{ContainerCreateBody, HostConfig};
use testcontainers::bollard::query_parameters::{
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use tokio_util::sync::CancellationToken;

use super::tools::{Invocation, ToolError, complaint};
use crate::error::{Error, Result};

/// The label that names the process a container belongs to, so that leftovers can be found.
pub const OWNER_LABEL: &str = "rehearsal.owner";

/// How long removing an interrupted container may take.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);

/// Runs the program in a container on the host's network, its folder mounted under the same path,
/// as the user who runs us, so that what it writes is theirs.
pub(super) async fn run(
    image: &str,
    invocation: &Invocation<'_>,
    environment: Vec<(String, String)>,
    cancel: &CancellationToken,
) -> Result<Vec<u8>> {
    let start =
        |reason: String| ToolError::Start { program: format!("{} (image {image})", invocation.program), reason };
    let docker =
        testcontainers::core::client::docker_client_instance().await.map_err(|error| start(error.to_string()))?;
    let binds = invocation.folder.map(|folder| vec![format!("{0}:{0}", folder.display())]);
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let owner = crate::process::identity();
    let body = ContainerCreateBody {
        labels: Some([(OWNER_LABEL.to_owned(), owner)].into()),
        image: Some(image.to_owned()),
        entrypoint: Some(vec![invocation.program.to_owned()]),
        cmd: Some(invocation.arguments.to_vec()),
        env: Some(environment.into_iter().map(|(key, value)| format!("{key}={value}")).collect()),
        user: Some(format!("{uid}:{gid}")),
        host_config: Some(HostConfig { binds, network_mode: Some("host".into()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let created = docker.create_container(None, body).await.map_err(|error| start(error.to_string()))?;
    let outcome = tokio::select! {
        outcome = wait(&docker, &created.id) => outcome.map_err(|error| start(error.to_string())),
        () = cancel.cancelled() => {
            remove(&docker, &created.id).await;
            return Err(Error::Interrupted);
        }
    };
    remove(&docker, &created.id).await;
    let (stdout, stderr, code) = outcome?;
    if code == 0 {
        return Ok(stdout);
    }
    Err(ToolError::Failed {
        program: invocation.program.into(),
        complaint: complaint(&String::from_utf8_lossy(&stderr), &format!("exit code {code}")),
    }
    .into())
}

async fn wait(docker: &Docker, id: &str) -> Result<(Vec<u8>, Vec<u8>, i64), testcontainers::bollard::errors::Error> {
    use testcontainers::bollard::container::LogOutput;
    use testcontainers::bollard::errors::Error as EngineError;

    docker.start_container(id, None::<StartContainerOptions>).await?;
    let code = match docker.wait_container(id, None::<WaitContainerOptions>).next().await {
        Some(Ok(response)) => response.status_code,
        // The client reports any code but 0 as an error of its own.
        Some(Err(EngineError::DockerContainerWaitError { code, .. })) => code,
        Some(Err(error)) => return Err(error),
        None => 0,
    };
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
    let mut logs = docker.logs(id, Some(options));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(output) = logs.next().await {
        match output? {
            LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
            other => stdout.extend_from_slice(&other.into_bytes()),
        }
    }
    Ok((stdout, stderr, code))
}

async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    // A container that cannot be removed is swept by its label at the next start of a sandbox.
    let _ = tokio::time::timeout(REMOVE_LIMIT, docker.remove_container(id, Some(options))).await;
}
