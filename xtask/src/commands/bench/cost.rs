//! What a measurement costs the machine, by /proc: processor time and memory of processes.

use std::path::Path;
use std::time::Duration;

/// How often memory is looked at. The kernel keeps the peak itself: the last look shows all of it.
const POLL: Duration = Duration::from_millis(10);

/// The unit of times in /proc/PID/stat (proc(5)): `USER_HZ`, which Linux keeps at 100 whatever its own clock.
const TICKS_PER_SECOND: u64 = 100;

/// How much memory a process had.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// At the most, in bytes.
    pub peak: u64,
    /// At the most in the first half of its time.
    pub peak_of_first_half: u64,
}

/// Looks at a process's memory until it is gone. Nothing where /proc does not tell.
pub async fn memory(id: u32) -> Option<Memory> {
    let mut peaks = Vec::new();
    loop {
        let status = tokio::fs::read_to_string(format!("/proc/{id}/status")).await.unwrap_or_default();
        // A process that has ended has no memory any more, and no such line.
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        let Some(kilobytes) = line else { break };
        peaks.push(kilobytes * 1024);
        tokio::time::sleep(POLL).await;
    }
    // It never falls.
    Some(Memory { peak: *peaks.last()?, peak_of_first_half: *peaks.get(peaks.len() / 2)? })
}

/// The processor time of a server so far, all of its processes together, and of our own children that
/// have ended. Nothing where /proc does not tell.
pub fn processor_time(postmaster: u32) -> Option<Duration> {
    let process = Path::new("/proc").join(postmaster.to_string());
    let (server, running) = loop {
        let before = stat(&process)?;
        let running = of_its_children(postmaster)?;
        let after = stat(&process)?;
        // One that ended in between would be counted twice, or not at all.
        if before.children == after.children {
            break (after, running);
        }
    };
    // Those that have ended are the postmaster's; those that run have times of their own.
    let ticks = server.own + server.children + running + stat(Path::new("/proc/self"))?.children;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

fn of_its_children(postmaster: u32) -> Option<u64> {
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(|entry| stat(&entry.ok()?.path()));
    Some(processes.filter(|process| process.parent == postmaster).map(|process| process.own).sum())
}

struct Stat {
    parent: u32,
    own: u64,
    children: u64,
}

fn stat(process: &Path) -> Option<Stat> {
    let text = std::fs::read_to_string(process.join("stat")).ok()?;
    // The second field is a name in parentheses that may hold anything; the third is the state.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: number(14)? + number(15)?,
        children: number(16)? + number(17)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_read() {
        let ours = stat(Path::new("/proc/self")).expect("Linux tells");
        assert_eq!(ours.parent, std::os::unix::process::parent_id());
        assert!(processor_time(std::process::id()).is_some());
    }
}
