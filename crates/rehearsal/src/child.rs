//! A child in a process group of its own: Ctrl-C reaches it through us, and what it starts ends with it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::process::die_with_parent;

/// How long it may take to end once it was asked to: what is under way is finished first.
pub(crate) const END_GRACE: Duration = Duration::from_secs(5);

/// A running child. Dropping it kills it and all that it has started.
pub(crate) struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    /// Starts it, with nothing to read.
    #[expect(unsafe_code, reason = "pre_exec is the only way to run something between fork and exec")]
    pub(crate) fn spawn(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        // SAFETY: what is run there is one system call, as its own words say.
        unsafe {
            command.pre_exec(die_with_parent(Signal::TERM));
        }
        let child = command.spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, id })
    }

    /// Where it writes, where that is a pipe; each once.
    pub(crate) fn outputs(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// How it ended, if it has.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to end, and ends it when it does not.
    pub(crate) async fn stop(mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            self.signal(signal);
            if tokio::time::timeout(END_GRACE, self.child.wait()).await.is_ok() {
                break;
            }
        }
        // What it has started itself ends with it.
        self.signal(Signal::KILL);
        self.id = None;
    }

    /// Lets what it has started go on, now that it has ended itself.
    pub(crate) fn leave(mut self) {
        self.id = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
