//! The service as a child of ours: started on a free port, waited for, and ended whatever happens.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SmokeError;
use super::client;
use super::secrets::Secrets;
use super::subject::Program;
use crate::child::Group;
use crate::error::{Error, Result};
use crate::target::Target;

/// How often it is asked whether it serves.
const POLL: Duration = Duration::from_millis(50);

/// How much of its log an error shows.
const LOG_LINES: usize = 5;

/// A running service. Dropping it kills it.
pub struct Service {
    group: Group,
    root: String,
}

impl Service {
    /// Starts the program on that database and waits until it serves. What it writes goes to `log`.
    ///
    /// # Errors
    /// [`SmokeError::NotServing`] when it ends or takes too long, with the last lines of its log.
    pub async fn start(
        program: &Program,
        database: &Target,
        secrets: &Secrets,
        log: &Path,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let not_serving = |reason: String| {
            let reason = secrets.redact(&format!("{reason}{}", last_lines(log)));
            SmokeError::NotServing { program: program.path.display().to_string(), reason, log: log.into() }
        };
        let address = free_address().map_err(|error| not_serving(format!("no port is free: {error}")))?;
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let out = std::fs::File::create(log).map_err(Error::io("create", log))?;
        let err = out.try_clone().map_err(Error::io("write", log))?;
        let mut command = command(program, database, secrets, &address);
        command.stdout(out).stderr(err);
        let group = Group::spawn(command).map_err(|error| not_serving(error.to_string()))?;
        let mut service = Self { group, root: format!("http://{address}") };
        tokio::select! {
            served = service.wait_until_it_serves(program) => served.map_err(not_serving)?,
            () = cancel.cancelled() => {
                service.stop().await;
                return Err(Error::Interrupted);
            }
        }
        Ok(service)
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    async fn wait_until_it_serves(&mut self, program: &Program) -> Result<(), String> {
        let client = client::client().map_err(|error| error.to_string())?;
        let health = format!("{}{}", self.root, program.app.health);
        let deadline = Instant::now() + program.app.start_limit;
        let mut last = "no answer".to_owned();
        loop {
            if let Some(status) = self.group.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("it has ended ({status})"));
            }
            match client.get(&health).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => last = format!("status {}", answer.status().as_u16()),
                Err(_) => {}
            }
            if Instant::now() > deadline {
                let limit = program.app.start_limit.as_secs();
                return Err(format!("{} gave {last} for {limit} s", program.app.health));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks it to end, and ends it when it does not.
    pub async fn stop(self) {
        self.group.stop().await;
    }
}

fn command(program: &Program, database: &Target, secrets: &Secrets, address: &Address) -> Command {
    let app = &program.app;
    let mut command = Command::new(&program.path);
    // Nothing of our own environment but what was named: it holds the URLs of real databases.
    command.args(&program.arguments).env_clear().envs(program.inherited.iter().cloned()).envs(&app.env);
    command.envs(app.secrets.iter().filter_map(|variable| Some((variable, secrets.get(variable)?))));
    command.env(&app.database_env, database.sandbox_url());
    if let Some(variable) = &app.address_env {
        command.env(variable, address.to_string());
    }
    if let Some(variable) = &app.port_env {
        command.env(variable, address.0.to_string());
    }
    command
}

/// `127.0.0.1:PORT`
struct Address(u16);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", Ipv4Addr::LOCALHOST, self.0)
    }
}

/// A port that is free now. Should somebody else take it first, the service says so and ends.
fn free_address() -> std::io::Result<Address> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(Address(listener.local_addr()?.port()))
}

/// The end of the log, after a colon; nothing where there is none.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    if lines.is_empty() { String::new() } else { format!(": {}", lines[from..].join(" / ")) }
}

/// Where the log of a service goes: beside the run's record.
#[must_use]
pub fn log_path(records: &Path, run_id: &str, label: &str) -> PathBuf {
    records.join(format!("{run_id}-{label}.log"))
}
