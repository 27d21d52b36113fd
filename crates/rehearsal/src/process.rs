//! Which process a throwaway thing belongs to, and whether that process still runs.

use std::fs;

use rustix::process::{Pid, Signal, test_kill_process};

/// Stands for what this system does not tell.
const UNKNOWN: &str = "-";

/// What is known of the process of an [`identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Alive,
    /// It has ended, or its machine was started anew.
    Gone,
    /// It is of another machine or another container: nothing here tells whether it runs.
    Foreign,
}

/// Names this process so that neither a later one with the same pid nor one of another machine is
/// taken for it: a pid says something only in its own pid namespace, and until the next boot.
#[must_use]
pub fn identity() -> String {
    let pid = std::process::id();
    let Place { boot, namespace, host } = Place::here();
    format!("{pid} {} {boot} {namespace} {host}", start_time(pid).unwrap_or_else(|| UNKNOWN.into()))
}

/// Whether the process of that [`identity`] still runs.
#[must_use]
pub fn state(identity: &str) -> State {
    let words: Vec<&str> = identity.split_whitespace().collect();
    let [pid, started, boot, namespace, host] = words[..] else { return State::Foreign };
    let here = Place::here();
    if boot != here.boot {
        // Another boot: all of that time's processes are gone, if the machine is the same.
        return if host == here.host && host != UNKNOWN { State::Gone } else { State::Foreign };
    }
    // Where there is no boot id, the host's name must do.
    if namespace != here.namespace || (boot == UNKNOWN && host != here.host) {
        return State::Foreign;
    }
    if runs(pid, started) { State::Alive } else { State::Gone }
}

fn runs(pid: &str, started: &str) -> bool {
    let Ok(pid) = pid.parse::<u32>() else { return false };
    let Some(raw) = Pid::from_raw(pid.cast_signed()) else { return false };
    // "Not permitted" means that there is one, of another user.
    let exists = !matches!(test_kill_process(raw), Err(rustix::io::Errno::SRCH));
    exists && (started == UNKNOWN || start_time(pid).is_none_or(|now| now == started))
}

/// Whose pids ours are among.
struct Place {
    boot: String,
    namespace: String,
    host: String,
}

impl Place {
    fn here() -> Self {
        let word = |text: Option<String>| {
            text.map(|text| text.split_whitespace().collect::<String>())
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| UNKNOWN.into())
        };
        Self {
            boot: word(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()),
            // `pid:[4026531836]`
            namespace: word(fs::read_link("/proc/self/ns/pid").ok().map(|path| path.display().to_string())),
            host: word(Some(rustix::system::uname().nodename().to_string_lossy().into_owned())),
        }
    }
}

/// Field 22 of /proc/PID/stat: when the process started, in ticks since boot.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold blanks: count from behind it.
    let rest = stat.rsplit_once(')')?.1;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

/// Gives a child, between fork and exec, the wish to get that signal when the thread that started it
/// ends: also when we are killed.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_parent(signal: Signal) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
    // prctl(2) is async-signal-safe, allocates nothing and touches no memory of ours.
    move || rustix::process::set_parent_process_death_signal(Some(signal)).map_err(Into::into)
}

/// Elsewhere the sweep at the next start finds what a killed run left.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_signal: Signal) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
    || Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ours, with one word replaced.
    fn with(index: usize, word: &str) -> String {
        let ours = identity();
        let mut words: Vec<&str> = ours.split(' ').collect();
        words[index] = word;
        words.join(" ")
    }

    #[test]
    fn we_are_alive_and_a_reused_pid_is_not_us() {
        assert_eq!(state(&identity()), State::Alive);
        assert_eq!(state(&with(1, "1")), State::Gone);
        assert_eq!(state(&with(0, "4194305")), State::Gone);
    }

    #[test]
    fn a_pid_of_another_place_tells_nothing() {
        assert_eq!(state(&with(3, "pid:[1]")), State::Foreign);
        let elsewhere = with(2, "another-boot");
        assert_eq!(state(&elsewhere), State::Gone, "the same machine before it was started anew");
        let (known, _) = elsewhere.rsplit_once(' ').expect("words");
        assert_eq!(state(&format!("{known} elsewhere")), State::Foreign);
        for text in ["", "1", "4194305 1"] {
            assert_eq!(state(text), State::Foreign, "{text:?}");
        }
    }
}
