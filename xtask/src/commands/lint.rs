//! `lint`: the format, and what clippy says of all of the code; a warning is a failure.

use xshell::{Shell, cmd};

use crate::{exit, machine};

pub fn run() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let format = cmd!(shell, "{cargo} fmt --all --check");
    let clippy = cmd!(shell, "{cargo} clippy --workspace --all-targets -- --deny warnings");
    for (command, remedy) in
        [(format, "run `cargo fmt --all`"), (clippy, "mend what it names; `cargo clippy --fix` mends some of it")]
    {
        let command = machine::variables_of_cargo_run().fold(command, |command, name| command.env_remove(name));
        command.run().map_err(|error| exit::failed(error.to_string(), remedy))?;
    }
    Ok(())
}
