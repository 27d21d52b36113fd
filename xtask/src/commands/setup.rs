//! `setup`: installs what the test suite needs beside cargo and a C compiler. What is there is left alone.

use std::path::Path;

use rehearsal::postgres::programs;
use xshell::{Cmd, Shell, cmd};

use crate::exit;
use crate::shell::Shell as Surroundings;

/// What checks the workflows, with its versions.
const REQUIREMENTS: &str = ".ci/requirements.txt";

/// Where it is installed: the suite looks for it there.
const TOOLS: &str = "target/tools";

/// Debian puts the pooler where only root looks.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Keeps the package of the server from starting one, which nobody here needs.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.conf";

pub fn run(surroundings: &Surroundings) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let folders = &surroundings.environment.path;
    let is_here = |name: &str| {
        folders
            .iter()
            .map(|folder| folder.as_path())
            .chain(SYSTEM_FOLDERS.map(Path::new))
            .any(|folder| folder.join(name).is_file())
    };
    let mut packages = Vec::new();
    if !programs::find(&surroundings.environment.program_folders, folders).iter().any(|found| found.has_server) {
        packages.push("postgresql");
    }
    if !is_here("pgbouncer") {
        packages.push("pgbouncer");
    }
    // The completions are tried in it.
    if !is_here("zsh") {
        packages.push("zsh");
    }
    // Debian's Python comes without what makes a virtual environment.
    if cmd!(shell, "python3 -c").arg("import venv, ensurepip").quiet().ignore_stderr().run().is_err() {
        packages.push("python3-venv");
    }
    if !packages.is_empty() {
        install(&shell, &packages)?;
    }
    let python = Path::new(TOOLS).join("bin/python");
    if !python.is_file() {
        run_to_the_end(&cmd!(shell, "python3 -m venv {TOOLS}"))?;
    }
    run_to_the_end(&cmd!(
        shell,
        "{python} -m pip install --quiet --disable-pip-version-check --requirement {REQUIREMENTS}"
    ))
}

/// Asks the system for packages, as root.
fn install(shell: &Shell, packages: &[&str]) -> anyhow::Result<()> {
    let sudo: &[&str] = if rustix::process::getuid().is_root() { &[] } else { &["sudo"] };
    if packages.contains(&"postgresql") && !Path::new(NO_CLUSTER).exists() {
        let script = format!("mkdir -p /etc/postgresql-common && echo create_main_cluster=false >{NO_CLUSTER}");
        run_to_the_end(&cmd!(shell, "env {sudo...} sh -c {script}"))?;
    }
    run_to_the_end(&cmd!(shell, "env {sudo...} apt-get update -q"))?;
    let unasked = "DEBIAN_FRONTEND=noninteractive";
    run_to_the_end(&cmd!(
        shell,
        "env {sudo...} env {unasked} apt-get install -qy --no-install-recommends {packages...}"
    ))?;
    if packages.contains(&"pgbouncer") {
        // The tests start their own. Where there is no service manager, none was started.
        let _ = cmd!(shell, "env {sudo...} service pgbouncer stop").quiet().ignore_stdout().ignore_stderr().run();
    }
    Ok(())
}

fn run_to_the_end(command: &Cmd<'_>) -> anyhow::Result<()> {
    let remedy = "on systems other than Debian and Ubuntu, install PostgreSQL, pgbouncer and Python's venv by hand";
    command.run().map_err(|error| exit::failed(error.to_string(), remedy))
}
