//! A hook as a child of ours: what it is told, what it wrote, and how it ended.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::HookError;
use super::hook::{Hook, When};
use super::tail::Tail;
use crate::child::Group;
use crate::error::{Error, Result};
use crate::event::{HookDone, Outcome, milliseconds};
use crate::occasion::Occasion;
use crate::smoke::secrets::Secrets;

/// How long is read on after its end: what it wrote is in the pipe by then, and what it has left running
/// may hold the pipe for ever.
const READ_ON: Duration = Duration::from_millis(200);

/// How much is read at a time: what a pipe of Linux holds.
const CHUNK: usize = 64 << 10;

/// How many of its last lines an error shows.
const LAST_LINES: usize = 3;

/// A hook of a run.
#[derive(Debug, Clone)]
pub struct Call {
    /// The hook.
    pub hook: Hook,
    /// The run.
    pub occasion: Occasion,
    /// The variables of our own environment that it may see.
    pub inherited: Vec<(String, String)>,
    /// The values of those that it names.
    pub secrets: Secrets,
}

enum End {
    Exited(ExitStatus),
    TooLong,
    Interrupted,
}

impl Call {
    /// Runs it. The first value says what is to be told of it, the second one how it came out.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(
        &self,
        run_id: &str,
        so_far: Outcome,
        cancel: &CancellationToken,
    ) -> Result<(HookDone, Result<()>), HookError> {
        let not_started = HookError::not_started(&self.hook);
        let began = Instant::now();
        // One pipe for both: what is read has the order in which it was written.
        let (reader, writer) = std::io::pipe().map_err(&not_started)?;
        let mut command = self.command(run_id, so_far);
        command.stdout(writer.try_clone().map_err(&not_started)?).stderr(writer);
        let pipe = Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(&not_started)?;
        let mut group = Group::spawn(command).map_err(&not_started)?;
        let tail = Arc::new(Mutex::new(Tail::default()));
        let mut reading = tokio::spawn(read(pipe, Arc::clone(&tail)));
        let interrupted = async {
            match self.hook.when {
                // It cleans up behind the interrupted run, too.
                When::Always => std::future::pending().await,
                When::Before | When::After => cancel.cancelled().await,
            }
        };
        let end = tokio::select! {
            status = group.wait() => End::Exited(status.map_err(&not_started)?),
            () = tokio::time::sleep(self.hook.limit) => End::TooLong,
            () = interrupted => End::Interrupted,
        };
        match end {
            // A service that it has started is there to stay.
            End::Exited(_) => group.leave(),
            End::TooLong | End::Interrupted => group.stop().await,
        }
        if tokio::time::timeout(READ_ON, &mut reading).await.is_err() {
            reading.abort();
        }
        let (output, more) = tail.lock().unwrap_or_else(PoisonError::into_inner).lines(&self.secrets);
        let outcome = self.judge(&end, &output);
        let done = HookDone {
            name: self.hook.name.clone(),
            when: self.hook.when,
            command: self.secrets.redact(&self.hook.words()),
            exit: if let End::Exited(status) = &end { status.code() } else { None },
            ending: self.ending(&end),
            output,
            more,
            duration_ms: milliseconds(began),
        };
        Ok((done, outcome))
    }

    fn command(&self, run_id: &str, so_far: Outcome) -> Command {
        let Occasion { act, target, releases } = &self.occasion;
        let mut words = self.hook.run.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        // Nothing of our own environment but what was named: it holds the URLs of real databases.
        command.args(words).env_clear().envs(self.inherited.iter().cloned());
        command.envs(self.hook.secrets.iter().filter_map(|name| Some((name, self.secrets.get(name)?))));
        command.env("REHEARSAL_COMMAND", act.as_str()).env("REHEARSAL_TARGET", target);
        command.env("REHEARSAL_RELEASE", releases.join(",")).env("REHEARSAL_RUN_ID", run_id);
        if self.hook.when == When::Always {
            command.env("REHEARSAL_OUTCOME", so_far.as_str());
        }
        command
    }

    fn judge(&self, end: &End, output: &[String]) -> Result<()> {
        let last = &output[output.len().saturating_sub(LAST_LINES)..];
        let last = if last.is_empty() { String::new() } else { format!(": {}", last.join(" / ")) };
        let Hook { name, when, limit, .. } = self.hook.clone();
        let error = match end {
            End::Exited(status) if status.success() => return Ok(()),
            End::Exited(_) => {
                let words = self.secrets.redact(&self.hook.words());
                HookError::Failed { name, ending: self.ending(end), last, words, when }
            }
            End::TooLong => HookError::TooLong { name, limit, last, when },
            End::Interrupted => return Err(Error::Interrupted),
        };
        Err(error.into())
    }

    fn ending(&self, end: &End) -> String {
        match end {
            End::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => status.to_string(),
            },
            End::TooLong => format!("stopped after {}", humantime::format_duration(self.hook.limit)),
            End::Interrupted => "interrupted".into(),
        }
    }
}

async fn read(mut pipe: Receiver, tail: Arc<Mutex<Tail>>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&chunk[..count]);
    }
}
