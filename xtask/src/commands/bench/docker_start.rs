//! A throwaway server in a container, against `docker run` of the same image, both until they answer
//! over TCP.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use rehearsal::postgres::Session;
use rehearsal::providers::docker::OWNER_LABEL;
use rehearsal::providers::{Choice, docker, provider};
use rehearsal::target::{Host, Target};
use tokio::process::Command;

use super::figure::{By, Figure, Line, Measured};
use super::local_start::until_it_answers;
use super::place::Place;
use super::samples::{Pairs, Unit};
use crate::exit;

const PAIRS: usize = 5;
const LIMIT: f64 = 1.3;
const POLL: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(120);

/// Its server listens on the loopback interface for as long as a start is measured.
const PASSWORD: &str = "rehearsal-bench";

/// See the module.
pub struct DockerStart;

#[async_trait(?Send)]
impl Figure for DockerStart {
    fn name(&self) -> &'static str {
        "docker-start"
    }

    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>> {
        let image = docker::official_image(provider::DEFAULT_MAJOR);
        let what = format!("a docker sandbox / `docker run {image}`");
        if let Some(reason) = missing(place, &image).await {
            return Ok(vec![Line::Skipped { what, reason }]);
        }
        let ours = async || {
            let (sandbox, took) = until_it_answers(place, Choice::Docker).await?;
            sandbox.remove().await;
            Ok(took)
        };
        let theirs = async || docker_run(place, &image).await;
        let pairs = Pairs::take(PAIRS, true, ours, theirs).await?;
        Ok(vec![Line::Measured(Measured {
            what,
            spread: pairs.ratios(),
            unit: Unit::Ratio,
            limit: Some((LIMIT, By::Median)),
            detail: pairs.detail("the sandbox", "docker run"),
        })])
    }
}

/// Why it cannot be measured here.
async fn missing(place: &Place, image: &str) -> Option<String> {
    let engine = match docker::engine(place.docker_host()).await {
        Ok(engine) => engine,
        Err(error) => return Some(error.to_string()),
    };
    if engine.inspect_image(image).await.is_err() {
        return Some(format!("the engine has no image {image}; a pull is not what is measured"));
    }
    match command(&["version"]).output().await {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("`docker version` says: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("there is no docker program to compare with ({error})")),
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn said(arguments: &[&str]) -> anyhow::Result<String> {
    let output = command(arguments).output().await.context("cannot start docker")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(exit::failed(format!("docker {}: {said}", arguments.join(" ")), "look at the container engine"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// As the image's own page says, on the loopback interface only.
async fn docker_run(place: &Place, image: &str) -> anyhow::Result<Duration> {
    let password = format!("POSTGRES_PASSWORD={PASSWORD}");
    // Our label: the sweep finds it when this run is killed.
    let label = format!("{OWNER_LABEL}={}", rehearsal::process::identity());
    let began = Instant::now();
    let id = said(&["run", "--detach", "--label", &label, "--env", &password, "--publish", "127.0.0.1::5432", image])
        .await?;
    let answered = answers(place, &id).await;
    let took = began.elapsed();
    let removed = said(&["rm", "--force", "--volumes", &id]).await;
    answered?;
    removed?;
    Ok(took)
}

async fn answers(place: &Place, id: &str) -> anyhow::Result<()> {
    let published = said(&["port", id, "5432/tcp"]).await?;
    let port = published.lines().next().and_then(|line| line.rsplit_once(':')?.1.parse().ok());
    let port =
        port.ok_or_else(|| exit::failed(format!("docker port says {published:?}"), "look at the container engine"))?;
    let target = Target::sandbox(Host::Tcp("127.0.0.1".into()), port, "postgres", Some(PASSWORD), "postgres");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Session::connect(&target, "bench", &place.cancel).await {
            Ok(session) => {
                session.close().await;
                return Ok(());
            }
            Err(rehearsal::Error::Interrupted) => return Err(rehearsal::Error::Interrupted.into()),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
