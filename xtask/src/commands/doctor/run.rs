//! Looks, tells, and ends with the code of what has to be mended first.

use std::io::{BufWriter, IsTerminal, Write};

use clap::CommandFactory;
use rehearsal::config::Config;
use rehearsal::doctor::{Area, Diagnosis, Level, variables};
use rehearsal::report::doctor as report;

use super::look;
use crate::cli::{Cli, Common, DoctorArgs};
use crate::exit::{self, Told};
use crate::shell::Shell;
use crate::{out, outlook, shell};

pub async fn run(common: Common, wanted: &DoctorArgs) -> anyhow::Result<()> {
    let diagnosis = match Shell::open(common.clone()) {
        Ok(shell) => {
            must_be_known(&shell.config, wanted)?;
            let findings = tokio::select! {
                findings = look::all(&shell, wanted) => findings?,
                () = shell.cancel.cancelled() => return Err(rehearsal::Error::Interrupted.into()),
            };
            Diagnosis::new(Some(shell.target_name()), findings)
        }
        // Without a configuration, nothing else can be looked at.
        Err(error) => Diagnosis::new(common.target.as_deref(), vec![exit::finding(Area::Configuration, &error)]),
    };
    let mut out = BufWriter::new(out::stdout());
    if common.json {
        serde_json::to_writer(&mut out, &diagnosis)?;
        writeln!(out)?;
    } else {
        let least = if common.quiet { Level::Problem } else { Level::Ok };
        let color = shell::color(&common, std::io::stdout().is_terminal());
        report::write(&mut out, &diagnosis, report::Style { width: outlook::width(out::stdout()), color, least })?;
    }
    out.flush()?;
    if diagnosis.exit_code == rehearsal::Kind::EXIT_DONE { Ok(()) } else { Err(Told(diagnosis.exit_code).into()) }
}

/// A misspelt command would be one that needs nothing.
fn must_be_known(config: &Config, wanted: &DoctorArgs) -> anyhow::Result<()> {
    let Some(purpose) = &wanted.purpose else { return Ok(()) };
    let is_command = Cli::command().get_subcommands().any(|command| command.get_name() == purpose);
    if is_command || variables::is_known(config, purpose) {
        return Ok(());
    }
    Err(exit::usage(
        format!("`{purpose}` is no command, and no variable of rehearsal.toml is needed by it"),
        "name a command, or what stands in `needed_by` of a [[variables]] table",
    ))
}
