//! pg_dump and pg_restore of a version that fits the server, from this machine or out of an image.
//!
//! A dump is only as good as its client: one of an older minor wrote what the server's own could not
//! read back, and one of a newer major writes settings that an older server does not know.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::programs::Installation;
use super::version::Version;
use super::{container, parameters};
use crate::child::Group;
use crate::error::{Error, Kind, Result};
use crate::target::Target;

/// How much of what a program complains about is shown.
const SHOWN_LINES: usize = 3;

/// The first major whose pg_dump knows zstd.
const FIRST_WITH_ZSTD: u32 = 16;

/// What the programs' sessions begin with. What a database says of itself is not there where its dump is restored, so
/// nothing of that may change how the server writes definitions and values.
const SETTINGS: &[(&str, &str)] =
    &[("bytea_output", "hex"), ("quote_all_identifiers", "off"), ("statement_timeout", "0")];

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
    /// A file of this machine that it reads beside.
    pub list: Option<&'a Path>,
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
        /// The lines that it wrote to stderr as errors.
        complaint: String,
        /// All that it wrote there. Statements are among it: not for people.
        stderr: String,
    },
}

impl ToolError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoFit { .. } => Kind::Usage,
            Self::Failed { complaint, .. } if passes(complaint) => Kind::Busy,
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
            Self::Failed { complaint, .. } if is_without_room(complaint) => {
                "free some disk space (sandboxes are in /dev/shm or the temporary folder), or put backups elsewhere (`backup.to` in rehearsal.toml), and run it again"
                    .into()
            }
            Self::Failed { complaint, .. } if complaint.contains("permission denied") => {
                "connect as a role that may read every table (pg_read_all_data, or the owner)".into()
            }
            Self::Failed { complaint, .. } if is_lost(complaint) => {
                "the connection was lost: look at the server's log, then run the same command again".into()
            }
            Self::Failed { complaint, .. } if passes(complaint) => {
                "somebody changes the schema meanwhile; run the same command again when that is done".into()
            }
            Self::Failed { .. } => "mend what it complains about and run the same command again".into(),
        }
    }
}

/// The system's words, and the server's where the system took a part of a block.
fn is_without_room(complaint: &str) -> bool {
    complaint.contains("No space left on device") || complaint.contains("could not extend file")
}

/// How libpq speaks of a connection that has ended (fe-misc.c), and the server of itself when it ends.
fn is_lost(complaint: &str) -> bool {
    [
        "server closed the connection",
        "terminating connection",
        "could not receive data",
        "SSL SYSCALL error",
        "could not connect",
        "connection to server",
    ]
    .iter()
    .any(|words| complaint.contains(words))
}

/// Trying again may help: the server has gone, or another session holds or changes a table that is dumped.
/// pg_dump locks tables one after the other, after it has listed them.
fn passes(complaint: &str) -> bool {
    let meanwhile =
        ["canceling statement due to lock timeout", "could not obtain lock on relation", "cache lookup failed"];
    let dropped = complaint.contains("relation \"") && complaint.contains("does not exist");
    is_lost(complaint) || dropped || meanwhile.iter().any(|words| complaint.contains(words))
}

/// The argument that makes pg_restore connect. A bare name with `=` in it, or that of a URL's scheme, would be taken
/// for a whole connection string (libpq's `expand_dbname`), and lead elsewhere.
#[must_use]
pub fn dbname(target: &Target) -> String {
    let name = target.database().replace('\\', "\\\\").replace('\'', "\\'");
    format!("--dbname=dbname='{name}'")
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

    /// Whether they write and read zstd: 16 and newer do, if they were built with it. pg_dump says so before
    /// it makes its folder, which cannot be made here, and that before it connects to anything.
    pub async fn write_zstd(&self, target: &Target, cancel: &CancellationToken) -> bool {
        if self.version().major < FIRST_WITH_ZSTD {
            return false;
        }
        let arguments = ["--format=directory", "--compress=zstd:1", "--file=/dev/null/none"].map(str::to_owned);
        let invocation =
            Invocation { program: "pg_dump", arguments: &arguments, target, purpose: "zstd", folder: None, list: None };
        let outcome = self.run(&invocation, cancel).await;
        matches!(outcome, Err(Error::Tool(ToolError::Failed { stderr, .. })) if stderr.contains("could not create directory"))
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
    command.args(invocation.arguments).envs(environment).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Its own group: Ctrl-C must reach it through us, after we have said so. It ends with us as well.
    let mut child = Group::spawn(command).map_err(start)?;
    let (mut stdout, mut stderr) = child.outputs();
    let work = async {
        let (out, err, status) = tokio::join!(read_all(&mut stdout), read_all(&mut stderr), child.wait());
        Ok::<_, std::io::Error>((out?, err?, status?))
    };
    let done = tokio::select! {
        done = work => Some(done),
        () = cancel.cancelled() => None,
    };
    let Some(done) = done else {
        child.stop().await;
        return Err(Error::Interrupted);
    };
    let (out, err, status) = done.map_err(start)?;
    if status.success() {
        return Ok(out);
    }
    Err(ToolError::Failed {
        program: invocation.program.into(),
        complaint: complaint(&String::from_utf8_lossy(&err), &status.to_string()),
        stderr: String::from_utf8_lossy(&err).into_owned(),
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
