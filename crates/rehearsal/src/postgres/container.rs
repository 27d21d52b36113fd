//! One run of a client program out of an image, where this machine has none that fits.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
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

/// Where the container has what its variables name on this machine. Under the same paths, folders of the image
/// might keep our user out of them.
const LENT_FOLDER: &str = "/rehearsal";

/// Variables of libpq's that name a file, or may.
const NAMES_A_FILE: [&str; 4] = ["PGHOST", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"];

/// Runs the program in a container on the host's network, its folder and list mounted under the same paths,
/// as the user who runs us, so that what it writes is theirs. Certificates, keys and the server's socket are
/// lent to it: they can only be read there.
pub(super) async fn run(
    image: &str,
    invocation: &Invocation<'_>,
    mut environment: Vec<(String, String)>,
    cancel: &CancellationToken,
) -> Result<Vec<u8>> {
    let start =
        |reason: String| ToolError::Start { program: format!("{} (image {image})", invocation.program), reason };
    let docker =
        testcontainers::core::client::docker_client_instance().await.map_err(|error| start(error.to_string()))?;
    let lent = lend(&mut environment).map_err(|error| start(error.to_string()))?;
    let same = |path: &Path, read_only| mount(path.display().to_string(), path.display().to_string(), read_only);
    let folder = invocation.folder.map(|folder| same(folder, false));
    let list = invocation.list.map(|list| same(list, true));
    // A key may be readable by one of our groups only.
    let groups = rustix::process::getgroups().unwrap_or_default();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let owner = crate::process::identity();
    let body = ContainerCreateBody {
        labels: Some([(OWNER_LABEL.to_owned(), owner)].into()),
        image: Some(image.to_owned()),
        entrypoint: Some(vec![invocation.program.to_owned()]),
        cmd: Some(invocation.arguments.to_vec()),
        env: Some(environment.into_iter().map(|(key, value)| format!("{key}={value}")).collect()),
        user: Some(format!("{uid}:{gid}")),
        host_config: Some(HostConfig {
            mounts: Some(lent.into_iter().chain(folder).chain(list).collect()),
            group_add: Some(groups.iter().map(|group| group.as_raw().to_string()).collect()),
            network_mode: Some("host".into()),
            ..HostConfig::default()
        }),
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
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
    .into())
}

/// What the variables name, mounted; they name the places in the container from then on.
fn lend(environment: &mut [(String, String)]) -> std::io::Result<Vec<Mount>> {
    let named = environment.iter_mut().filter(|(name, _)| NAMES_A_FILE.contains(&name.as_str()));
    let on_this_machine = named.filter(|(name, value)| name != "PGHOST" || value.starts_with('/'));
    let lent = on_this_machine.map(|(name, value)| {
        let source = std::path::absolute(&*value)?.display().to_string();
        *value = format!("{LENT_FOLDER}/{name}");
        Ok(mount(source, value.clone(), true))
    });
    lent.collect()
}

/// Unlike the short form of a bind, this takes any path, and makes no folder where there is none.
fn mount(source: String, target: String, read_only: bool) -> Mount {
    Mount {
        source: Some(source),
        target: Some(target),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
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
