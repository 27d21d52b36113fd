//! Which process a throwaway thing belongs to, and whether that process still runs.

use std::fs;

use rustix::process::{Pid, test_kill_process};

/// Names this process so that no later one with the same pid is taken for it.
#[must_use]
pub fn identity() -> String {
    let pid = std::process::id();
    format!("{pid} {}", start_time(pid).unwrap_or_default())
}

/// Whether the process of that [`identity`] still runs.
#[must_use]
pub fn is_alive(identity: &str) -> bool {
    let mut words = identity.split_whitespace();
    let Some(pid) = words.next().and_then(|word| word.parse::<u32>().ok()) else { return false };
    let Some(raw) = Pid::from_raw(pid.cast_signed()) else { return false };
    // "Not permitted" means that there is one, of another user.
    let exists = !matches!(test_kill_process(raw), Err(rustix::io::Errno::SRCH));
    exists && words.next().is_none_or(|started| start_time(pid).is_none_or(|now| now == started))
}

/// Field 22 of /proc/PID/stat: when the process started, in ticks since boot.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold blanks: count from behind it.
    let rest = stat.rsplit_once(')')?.1;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_a_reused_pid_is_not_us() {
        assert!(is_alive(&identity()));
        assert!(!is_alive(&format!("{} 1", std::process::id())));
        assert!(!is_alive("4194305 1"));
    }
}
