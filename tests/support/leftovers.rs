//! What a command must not leave on the machine: servers, their folders, containers, temporary files.

use std::path::Path;

use crate::docker;

/// How the folders of sandboxes begin.
const PREFIX: &str = "rehearsal-";

/// Everything that process left, `temporary` being its own `TMPDIR`.
///
/// # Panics
/// When that cannot be looked at.
pub async fn of(pid: u32, temporary: &Path) -> Vec<String> {
    let mut left: Vec<String> = std::fs::read_dir(temporary)
        .expect("the project's temporary folder is there")
        .map(|entry| entry.expect("it can be read").path().display().to_string())
        .collect();
    let owner = format!("{pid} ");
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().filter_map(Result::ok) {
        let folder = entry.path();
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && std::fs::read_to_string(folder.join("owner")).is_ok_and(|text| text.starts_with(&owner)) {
            left.push(folder.display().to_string());
        }
    }
    left.extend(servers_without_a_folder());
    left.extend(docker::containers_of(pid).await);
    left
}

/// A server is ended before its folder is removed: one without its folder was forgotten.
fn servers_without_a_folder() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    processes
        .filter_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(process.path().join("cmdline")).ok()?;
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            let mut words = arguments.split('\0');
            let data = words.by_ref().find(|word| *word == "-D").and_then(|_| words.next())?;
            let forgotten = data.contains("/rehearsal-sandbox-") && !Path::new(data).exists();
            forgotten.then(|| format!("postgres {pid} without its folder {data}"))
        })
        .collect()
}
