//! What `rehearse --smoke` and `smoke` need of this machine: secrets, and the programs of a service.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::Context;
use rehearsal::config::Config;
use rehearsal::smoke::SmokeError;
use rehearsal::smoke::app::{AppConfig, Words};
use rehearsal::smoke::secrets::Secrets;
use rehearsal::smoke::subject::{Place, Program, Subject};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::{exit, machine};

/// How many programs of other revisions are kept: a rehearsal may start two of them.
const KEPT: usize = 2;

/// How much of a commit's name names its program.
const COMMIT_CHARACTERS: usize = 12;

/// The secrets that the smoke tests name, from the environment. What is missing is told when a test needs it.
pub fn secrets(config: &Config) -> Result<Secrets, SmokeError> {
    if config.smoke.is_empty() {
        return Err(SmokeError::NoTests);
    }
    let variables = config.smoke.iter().flat_map(|test| test.secrets.values());
    Ok(variables.filter_map(|variable| Some((variable.clone(), std::env::var(variable).ok()?))).collect())
}

/// The service that is started from that file, for the smoke tests of that version.
pub fn subject(config: &Config, label: &str, path: &Path, version: i64) -> anyhow::Result<Subject> {
    let arguments = config.app.run.as_ref().map(|run| run.arguments().to_vec()).unwrap_or_default();
    let program =
        Program { path: path.to_owned(), arguments, app: config.app.clone(), inherited: machine::inherited() };
    Ok(Subject {
        label: label.into(),
        version,
        release: config.release_of(version).map(|release| release.name.clone()),
        is_of_later: false,
        secrets: secrets(config).map_err(rehearsal::Error::from)?,
        place: Place::Started(Box::new(program)),
    })
}

/// Finds or builds the programs of services.
pub struct Builder<'a> {
    pub app: &'a AppConfig,
    pub cache: &'a Path,
    pub cancel: &'a CancellationToken,
}

impl Builder<'_> {
    /// The program of this workspace as it stands, built.
    pub async fn current(&self) -> anyhow::Result<PathBuf> {
        self.build(Path::new(".")).await?;
        self.program(Path::new("."))
    }

    /// The program that is meant: an executable, or the build of a git revision.
    pub async fn of(&self, path_or_revision: &str) -> anyhow::Result<PathBuf> {
        let path = Path::new(path_or_revision);
        if path.is_file() { Ok(std::path::absolute(path)?) } else { self.of_revision(path_or_revision).await }
    }

    /// Builds a revision in a git worktree of its own. The worktree goes; the program stays in the cache
    /// until others are built.
    async fn of_revision(&self, revision: &str) -> anyhow::Result<PathBuf> {
        let commit = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")])
            .await
            .map_err(|_| {
                exit::usage(
                    format!("`{revision}` is neither a file nor a revision of this repository"),
                    "name an executable, or a commit, branch or tag that is here (git fetch brings the others)",
                )
            })?;
        let commit = commit.get(..COMMIT_CHARACTERS).unwrap_or(&commit).to_owned();
        let root = std::path::absolute(".")?;
        // One folder a workspace: the same path gives cargo the same packages, whatever the revision.
        let folder = self.cache.join("apps").join(root.to_string_lossy().replace(['/', '\\'], "-"));
        let kept = folder.join(&commit);
        if let Ok(program) = std::fs::File::open(&kept) {
            // The younger ones stay when another one comes.
            program.set_modified(SystemTime::now()).with_context(|| format!("failed to touch {}", kept.display()))?;
            return Ok(kept);
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        let worktree = Worktree::add(&folder.join("worktree"), &commit).await?;
        // What does not depend on the revision need not be built again.
        if Path::new("target").is_dir() {
            let link = worktree.0.join("target");
            std::os::unix::fs::symlink(root.join("target"), &link)
                .with_context(|| format!("failed to link {}", link.display()))?;
        }
        self.build(&worktree.0).await?;
        let built = self.program(&worktree.0)?;
        forget_older(&folder, &worktree.0)?;
        std::fs::copy(&built, &kept).with_context(|| format!("failed to keep {}", kept.display()))?;
        Ok(kept)
    }

    fn program(&self, root: &Path) -> anyhow::Result<PathBuf> {
        let program = self.app.run.as_ref().and_then(Words::program);
        let program = program.ok_or_else(|| rehearsal::Error::from(SmokeError::NoProgram))?;
        if !program.contains('/') {
            // A program of PATH.
            return Ok(program.into());
        }
        let path = std::path::absolute(root.join(program))?;
        if path.is_file() {
            return Ok(path);
        }
        Err(exit::usage(
            format!("{}, which [app] runs, is not there", path.display()),
            "let `build` of [app] make it, or mend `run`",
        ))
    }

    async fn build(&self, root: &Path) -> anyhow::Result<()> {
        let Some((words, program)) = self.app.build.as_ref().and_then(|words| Some((words, words.program()?))) else {
            return Ok(());
        };
        let mut command = Command::new(program);
        command.args(words.arguments()).current_dir(root);
        // Queries are checked against what was written down with that code, and not against a database
        // that may be of another version.
        command.env_remove("DATABASE_URL").env("SQLX_OFFLINE", "true");
        for name in machine::variables_of_cargo_run() {
            command.env_remove(name);
        }
        // All that it writes is for people: stdout may be JSON of ours.
        command.stdin(Stdio::null()).stdout(std::io::stderr());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("failed to start `{words}`"))?;
        let group = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        let status = tokio::select! {
            status = child.wait() => status.with_context(|| format!("failed to wait for `{words}`"))?,
            () = self.cancel.cancelled() => {
                if let Some(group) = group {
                    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
                }
                let _ = child.wait().await;
                return Err(rehearsal::Error::Interrupted.into());
            }
        };
        if status.success() {
            return Ok(());
        }
        let place = root.display();
        Err(exit::failed(format!("`{words}` failed in {place} ({status})"), "mend what it complains about above"))
    }
}

/// Programs of other revisions, but for as many as may stand beside the one that comes.
fn forget_older(folder: &Path, worktree: &Path) -> anyhow::Result<()> {
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path() != worktree && entry.path().is_file() {
            programs.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    programs.sort();
    programs.reverse();
    for (_, path) in programs.into_iter().skip(KEPT - 1) {
        std::fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
    }
    Ok(())
}

/// A git worktree that goes when this is dropped.
struct Worktree(PathBuf);

impl Worktree {
    async fn add(path: &Path, commit: &str) -> anyhow::Result<Self> {
        // What a killed run left.
        remove(path);
        let shown = path.to_string_lossy().into_owned();
        git(&["worktree", "add", "--quiet", "--force", "--detach", &shown, commit]).await?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    // The link first: what it leads to is not the worktree's.
    let _ = std::fs::remove_file(path.join("target"));
    let mut command = std::process::Command::new("git");
    command.args(["worktree", "remove", "--force", "--force"]).arg(path);
    // It may not be there; whatever else is wrong shows when the next one is added.
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

async fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output =
        Command::new("git").args(arguments).stdin(Stdio::null()).output().await.context("failed to run git")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let hint = "run it by hand to see more, and mend what it says";
        return Err(exit::failed(format!("git {} failed: {}", arguments.join(" "), words.trim()), hint));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
