//! The command as a child process: what it wrote, how it ended, and what it left.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::wait::until;

/// How long a command may take. A rehearsal in a container on a busy machine was seen to take 20 s.
const LIMIT: Duration = Duration::from_secs(180);

/// A command that runs.
pub struct Running {
    words: String,
    folder: PathBuf,
    child: Child,
    pid: u32,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The command line.
    pub words: String,
    /// Its exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote beside.
    pub stderr: String,
    /// Its process id.
    pub pid: u32,
    /// The record that it names, and the summary beside it.
    record: Option<(Vec<u8>, String)>,
}

impl Running {
    pub(crate) fn start(mut command: Command, words: &str, folder: PathBuf) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {words}: {error}"));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("a pipe"), Arc::clone(&stdout)),
            collect(child.stderr.take().expect("a pipe"), Arc::clone(&stderr)),
        ];
        let pid = child.id().expect("it has not been waited for");
        Self { words: words.to_owned(), folder, child, pid, stdout, stderr, readers }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has written so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Waits until it has written that, or has ended.
    pub async fn has_written(&mut self, needle: &str) {
        let what = format!("`{}` writes `{needle}`", self.words);
        until(&what, async || {
            let there = text(&self.stdout).contains(needle) || text(&self.stderr).contains(needle);
            let ended = self.child.try_wait().expect("it can be waited for").is_some();
            assert!(
                there || !ended,
                "`{}` ended without: {needle}\n{}\n{}",
                self.words,
                text(&self.stdout),
                text(&self.stderr)
            );
            there.then_some(())
        })
        .await;
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be waited for").is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.cast_signed()).expect("a process id");
        // It may have ended by itself in the meantime.
        let _ = kill_process(pid, signal);
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ended {
        let status: ExitStatus = match tokio::time::timeout(LIMIT, self.child.wait()).await {
            Ok(status) => status.expect("it can be waited for"),
            Err(_) => panic!(
                "`{}` did not end within {} s:\n{}\n{}",
                self.words,
                LIMIT.as_secs(),
                text(&self.stdout),
                text(&self.stderr)
            ),
        };
        for reader in self.readers {
            // A grandchild that outlives the command would hold the pipes open.
            tokio::time::timeout(Duration::from_secs(20), reader)
                .await
                .unwrap_or_else(|_| panic!("`{}` ended, and something still holds its output open", self.words))
                .expect("its output can be read");
        }
        let stderr = text(&self.stderr);
        // Read now: the test may give its workspace up before it looks.
        let record = stderr.lines().find_map(|line| line.strip_prefix("record: ")).map(|path| {
            let path = self.folder.join(path);
            let json = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let summary = path.with_extension("md");
            let summary =
                std::fs::read_to_string(&summary).unwrap_or_else(|error| panic!("{}: {error}", summary.display()));
            (json, summary)
        });
        Ended { words: self.words, code: status.code(), stdout: text(&self.stdout), stderr, pid: self.pid, record }
    }
}

fn collect(mut pipe: impl AsyncRead + Unpin + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
        }
    })
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

impl Ended {
    /// Everything it wrote.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Checks how it ended.
    ///
    /// # Panics
    /// When it ended in another way; with all that it wrote.
    #[track_caller]
    pub fn must_exit(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            Some(code),
            "the exit code of `{}`\n--- stdout\n{}\n--- stderr\n{}",
            self.words,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Checks that it wrote this.
    ///
    /// # Panics
    /// When it did not; with all that it wrote.
    #[track_caller]
    pub fn must_say(&self, needle: &str) -> &Self {
        assert!(
            self.text().contains(needle),
            "`{}` does not say `{needle}`\n--- stdout\n{}\n--- stderr\n{}",
            self.words,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The line that says what is wrong. There is exactly one, and what to do stands right below.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[track_caller]
    #[must_use]
    pub fn error(&self) -> (String, String) {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let found: Vec<usize> = (0..lines.len()).filter(|&index| lines[index].starts_with("error: ")).collect();
        let [at] = found[..] else { panic!("`{}` has {} error lines:\n{text}", self.words, found.len()) };
        // The place in the user's file may stand in between.
        let hint = lines[at + 1..].iter().find_map(|line| line.trim().strip_prefix("what to do: "));
        let hint = hint.unwrap_or_else(|| panic!("`{}` does not say what to do:\n{text}", self.words));
        (lines[at].trim_start_matches("error: ").to_owned(), hint.to_owned())
    }

    /// Its record.
    ///
    /// # Panics
    /// When there is none, or none that can be read.
    #[track_caller]
    #[must_use]
    pub fn record(&self) -> Value {
        let Some((json, _)) = &self.record else { panic!("`{}` names no record:\n{}", self.words, self.text()) };
        serde_json::from_slice(json).unwrap_or_else(|error| panic!("the record of `{}`: {error}", self.words))
    }

    /// The summary beside its record, in Markdown.
    #[must_use]
    pub fn summary(&self) -> &str {
        self.record.as_ref().map_or("", |(_, summary)| summary)
    }

    /// The steps of its record as `name outcome`.
    #[track_caller]
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let record = self.record();
        let steps = record["steps"].as_array().cloned().unwrap_or_default();
        steps
            .iter()
            .map(|step| format!("{} {}", step["name"].as_str().unwrap_or("?"), step["outcome"].as_str().unwrap_or("?")))
            .collect()
    }

    /// The events that it wrote as JSON lines.
    ///
    /// # Panics
    /// When a line of stdout is no JSON.
    #[track_caller]
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in this line of stdout: {line}"))
            })
            .collect()
    }
}
