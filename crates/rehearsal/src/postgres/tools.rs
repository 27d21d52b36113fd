//! pg_dump and pg_restore of a version that fits the server, from this machine or out of an image.
//!
//! A dump is only as good as its client: one of an older minor wrote what the server's own could not
//! read back, and one of a newer major writes settings that an older server does not know.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::programs::Installation;
use super::version::Version;
use super::{container, parameters};
use crate::error::{Error, Kind, Result};
use crate::target::Target;

/// How long a program that was asked to end may take: pg_dump then cancels its own queries.
const END_GRACE: Duration = Duration::from_secs(5);

/// How much of what a program complains about is shown.
const SHOWN_LINES: usize = 3;

/// What the programs' sessions begin with.
const SETTINGS: &[(&str, &str)] = &[("bytea_output", "hex"), ("statement_timeout", "0")];

/// A place from which PostgreSQL's client programs are run.
#[derive(Debug, Clone)]
pub enum Tools {
    /// A folder of this machine.
    Host(Installation),
    /// An image that the container engine has.
    Image {
        /// Its name, tag included.
        image: String,
        /// The version of its programs.
        version: Version,
    },
}

/// One run of a program.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// `pg_dump` or `pg_restore`.
    pub program: &'static str,
    /// Its arguments; none of them is a secret.
    pub arguments: &'a [String],
    /// The database it talks to, told by the environment.
    pub target: &'a Target,
    /// Shown in `application_name`.
    pub purpose: &'a str,
    /// A folder of this machine that it reads or writes.
    pub folder: Option<&'a Path>,
}

/// A program is missing, does not fit, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// None of the client programs that could be found fits the server.
    #[error("the server is PostgreSQL {server}, and no pg_dump here fits it (found: {found})")]
    NoFit {
        /// The server's version.
        server: Version,
        /// What there is.
        found: String,
    },
    /// It could not be started.
    #[error("cannot start {program}: {reason}")]
    Start {
        /// The program.
        program: String,
        /// The system's words.
        reason: String,
    },
    /// It ended with an error.
    #[error("{program} failed: {complaint}")]
    Failed {
        /// The program.
        program: String,
        /// The last lines it wrote to stderr.
        complaint: String,
    },
}

impl ToolError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoFit { .. } => Kind::Usage,
            Self::Start { .. } | Self::Failed { .. } => Kind::Failed,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoFit { server, .. } => format!(
                "install the PostgreSQL {} client, minor {} or newer (Debian: apt-get install postgresql-client-{}), name its folder in `postgres.programs`, or start a container engine",
                server.major, server.minor, server.major
            ),
            Self::Start { .. } => "check that the file may be executed".into(),
            Self::Failed { complaint, .. } if complaint.contains("No space left on device") => {
                "free some disk space, or put backups elsewhere (`backup.to` in rehearsal.toml), and run it again"
                    .into()
            }
            Self::Failed { complaint, .. } if complaint.contains("permission denied") => {
                "connect as a role that may read every table (pg_read_all_data, or the owner)".into()
            }
            Self::Failed { .. } => "mend what it complains about and run the same command again".into(),
        }
    }
}

/// Whether a client of one version may dump and restore a server of another: the same major, and not
/// an older minor.
#[must_use]
pub fn fits(client: Version, server: Version) -> bool {
    client.major == server.major && client.minor >= server.minor
}

/// Chooses an installation that fits.
#[must_use]
pub fn choose(installations: &[Installation], server: Version) -> Option<Tools> {
    installations.iter().find(|installation| fits(installation.version, server)).cloned().map(Tools::Host)
}

impl Tools {
    /// The programs' version.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Host(installation) => installation.version,
            Self::Image { version, .. } => *version,
        }
    }

    /// Where they are, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Host(installation) => format!("{} ({})", installation.version, installation.folder.display()),
            Self::Image { image, version } => format!("{version} (image {image})"),
        }
    }

    /// Runs a program to its end and gives what it wrote to stdout. An interruption ends it, and
    /// its workers.
    ///
    /// # Errors
    /// [`ToolError`] with its own complaint, or [`Error::Interrupted`].
    pub async fn run(&self, invocation: &Invocation<'_>, cancel: &CancellationToken) -> Result<Vec<u8>> {
        let environment = environment(invocation);
        match self {
            Self::Host(installation) => {
                run_here(installation.folder.join(invocation.program), invocation, environment, cancel).await
            }
            Self::Image { image, .. } => container::run(image, invocation, environment, cancel).await,
        }
    }
}

fn environment(invocation: &Invocation<'_>) -> Vec<(String, String)> {
    let mut environment = invocation.target.libpq_environment(&format!("rehearsal/{}", invocation.purpose));
    // The same value must be written as the same text, whatever the role's or database's settings.
    environment.push(("PGTZ".into(), "UTC".into()));
    // Ours last: of two settings of one name, the server takes the later.
    let settings = invocation.target.settings().chain(SETTINGS.iter().copied());
    environment.push(("PGOPTIONS".into(), parameters::write_options(settings)));
    environment.push(("LC_ALL".into(), "C".into()));
    environment
}

async fn run_here(
    program: PathBuf,
    invocation: &Invocation<'_>,
    environment: Vec<(String, String)>,
    cancel: &CancellationToken,
) -> Result<Vec<u8>> {
    let start =
        |error: std::io::Error| ToolError::Start { program: program.display().to_string(), reason: error.to_string() };
    let mut command = Command::new(&program);
    for variable in parameters::not_inherited(invocation.target.is_complete()) {
        command.env_remove(variable);
    }
    let mut child = command
        .args(invocation.arguments)
        .envs(environment)
        // Its own group: Ctrl-C must reach it through us, after we have said so.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let work = async {
        let (out, err, status) = tokio::join!(read_all(&mut stdout), read_all(&mut stderr), child.wait());
        Ok::<_, std::io::Error>((out?, err?, status?))
    };
    let mut work = std::pin::pin!(work);
    let (out, err, status) = tokio::select! {
        done = &mut work => done.map_err(start)?,
        () = cancel.cancelled() => {
            for signal in [Signal::TERM, Signal::KILL] {
                if let Some(group) = group {
                    let _ = kill_process_group(group, signal);
                }
                if tokio::time::timeout(END_GRACE, &mut work).await.is_ok() {
                    break;
                }
            }
            return Err(Error::Interrupted);
        }
    };
    if status.success() {
        return Ok(out);
    }
    Err(ToolError::Failed {
        program: invocation.program.into(),
        complaint: complaint(&String::from_utf8_lossy(&err), &status.to_string()),
    }
    .into())
}

async fn read_all(pipe: &mut Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        tokio::io::AsyncReadExt::read_to_end(pipe, &mut bytes).await?;
    }
    Ok(bytes)
}

/// The lines that say what went wrong, folded into one.
pub(super) fn complaint(stderr: &str, otherwise: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| line.contains("error:") || line.contains("ERROR:") || line.contains("FATAL:"))
        .take(SHOWN_LINES)
        .collect();
    match (errors.is_empty(), lines.last()) {
        (false, _) => errors.join(" / "),
        (true, Some(last)) => (*last).to_owned(),
        (true, None) => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_major_and_no_older_minor_fits() {
        let version = |text: &str| text.parse::<Version>().expect("a version");
        for (client, server, expected) in
            [("15.18", "15.18", true), ("15.20", "15.18", true), ("15.18", "15.20", false), ("17.1", "15.1", false)]
        {
            assert_eq!(fits(version(client), version(server)), expected, "{client} for {server}");
        }
    }

    #[test]
    fn the_error_lines_are_kept() {
        let stderr = "pg_dump: last built-in OID is 16383\npg_dump: error: query failed: ERROR:  permission denied\npg_dump: detail: Query was: …\n";
        assert_eq!(complaint(stderr, "?"), "pg_dump: error: query failed: ERROR:  permission denied");
        assert_eq!(complaint("", "exit status: 1"), "exit status: 1");
    }
}
