//! How a command's outcome becomes an exit code, and an error two lines.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use rehearsal::Kind;
use rehearsal::doctor::{Area, Finding};
use rehearsal::report::format::harmless;

use crate::github;

/// A failure of the shell itself, with what to do about it.
#[derive(Debug)]
pub struct ShellError {
    kind: Kind,
    message: String,
    hint: String,
}

impl fmt::Display for ShellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ShellError {}

/// The command line or the environment is not usable.
pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    ShellError { kind: Kind::Usage, message: message.into(), hint: hint.into() }.into()
}

/// Something that was run did not work.
pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    ShellError { kind: Kind::Failed, message: message.into(), hint: hint.into() }.into()
}

/// Something that must be allowed was not.
pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    ShellError { kind: Kind::Refused, message: message.into(), hint: hint.into() }.into()
}

/// The reporters have told it already: only the code is left to give.
#[derive(Debug)]
pub struct Told(pub u8);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Told {}

/// What `doctor` makes of an error of a part of the shell.
pub fn finding(area: Area, error: &anyhow::Error) -> Finding {
    match (error.downcast_ref::<rehearsal::Error>(), error.downcast_ref::<ShellError>()) {
        (Some(error), _) => Finding::of(area, error),
        (None, Some(error)) => Finding::problem(area, error.kind, &error.message, &error.hint),
        (None, None) => Finding::problem(area, Kind::Failed, format!("{error:#}"), "mend that first"),
    }
}

/// The last thing that a command does.
pub fn of(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    if let Some(Told(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    let (code, message, hint, place) = if let Some(error) = error.downcast_ref::<rehearsal::Error>() {
        // Its words are complete: its sources would say the same again.
        (error.kind().exit_code(), error.to_string(), error.hint(), error.place())
    } else if let Some(error) = error.downcast_ref::<ShellError>() {
        (error.kind.exit_code(), error.message.clone(), Some(error.hint.clone()), None)
    } else {
        (Kind::Failed.exit_code(), format!("{error:#}"), None, None)
    };
    let mut stderr = std::io::stderr().lock();
    // Nothing is left to do when not even stderr takes it.
    let _ = writeln!(stderr, "error: {}", harmless(&message));
    if let Some(hint) = &hint {
        let _ = writeln!(stderr, " what to do: {}", harmless(hint));
    }
    if github::is_there() {
        let _ = writeln!(stderr, "{}", github::error(&message, hint.as_deref(), place.as_ref()));
    }
    ExitCode::from(code)
}

/// clap's own exit: help and version are no errors.
pub fn of_clap(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(Kind::Usage.exit_code()) } else { ExitCode::SUCCESS }
}

/// dotenvy repeats the line that it cannot read, which may hold a password: only its number is kept.
pub fn dotenv_words(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, position) => format!("a line does not parse, at character {position} of it"),
        dotenvy::Error::Io(error) => error.to_string(),
        _ => "it does not parse".into(),
    }
}
