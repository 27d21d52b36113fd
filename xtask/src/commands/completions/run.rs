//! cargo hands all behind `cargo xtask` to us, and its own completion stops there. So a script completes `xtask`, a
//! command of one word that the README has as a shell function. For Bash and Zsh it also takes over what stands
//! behind `cargo xtask`, and leaves the rest of cargo's words to whoever completed them before.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, CompletionShell};
use crate::out;

/// The command of one word.
const NAME: &str = "xtask";

pub fn run(shell: CompletionShell) -> anyhow::Result<()> {
    let (shell, behind_cargo) = match shell {
        CompletionShell::Bash => (Shell::Bash, include_str!("cargo.bash")),
        CompletionShell::Zsh => (Shell::Zsh, include_str!("cargo.zsh")),
        CompletionShell::Fish => (Shell::Fish, ""),
        CompletionShell::PowerShell => (Shell::PowerShell, ""),
    };
    let mut command = Cli::command().name(NAME).bin_name(NAME);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    script.extend_from_slice(behind_cargo.as_bytes());
    out::stdout().write_all(&script)?;
    Ok(())
}
