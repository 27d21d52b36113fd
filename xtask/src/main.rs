//! `cargo xtask …`: the shell around the `rehearsal` library. It reads arguments and environment,
//! calls the library, and turns the outcome into an exit code.

mod backup_source;
mod cli;
mod commands;
mod examples;
mod exit;
mod github;
mod goal;
mod machine;
mod out;
mod outlook;
mod questions;
mod shell;
mod smoke;
mod surroundings;
mod ways;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // A variable that is set already wins over the file.
    let dotenv = dotenvy::dotenv();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::of_clap(&error),
    };
    // The real sqlx-cli reads its own environment.
    if !matches!(cli.command, cli::Command::Sqlx { .. }) {
        machine::take_variables();
    }
    exit::of(dotenv.err().filter(|error| !error.not_found()).map_or_else(
        || commands::dispatch(cli),
        |error| {
            Err(exit::usage(format!("cannot read .env: {}", exit::dotenv_words(&error)), "mend or remove the file"))
        },
    ))
}
