//! `sqlx …`: the real sqlx-cli, linked in. Nothing to install, and the version that fits.

use clap::Parser;

use crate::exit::Told;
use crate::shell::Shell;

pub async fn run(shell: &Shell, arguments: Vec<String>) -> anyhow::Result<()> {
    let (mut arguments, named_here) = split_off_target(arguments);
    arguments.insert(0, "cargo xtask sqlx".into());
    let target = named_here.or_else(|| shell.common.target.clone());
    // These take a URL, and a target that was named says which. It stays inside of this process.
    let takes_url = takes_url(&arguments[1..]);
    let has_url = arguments.iter().any(|argument| argument.starts_with("--database-url") || argument == "-D");
    if let (Some(name), true, false) = (&target, takes_url, has_url) {
        // What is pinned, or may be in several places, is looked at first: sqlx would work on whatever is there.
        let target = shell.target_named(name).await?;
        if target.is_pinned() || target.has_several_places() {
            shell.connect(&target, "identity").await?.close().await;
        }
        // Not what stands in the variable: sqlx passes over what it does not know, and may so lead elsewhere.
        let url = target.sqlx_url();
        arguments.extend(["--database-url".into(), url]);
    }
    let options = match sqlx_cli::Opt::try_parse_from(arguments) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            let code = if error.use_stderr() { rehearsal::Kind::Usage.exit_code() } else { 0 };
            return if code == 0 { Ok(()) } else { Err(Told(code).into()) };
        }
    };
    sqlx::any::install_default_drivers();
    // sqlx-cli itself ends with 0 when it is interrupted.
    tokio::select! {
        outcome = sqlx_cli::run(options) => outcome,
        () = shell.cancel.cancelled() => Err(rehearsal::Error::Interrupted.into()),
    }
}

/// Whether these words of sqlx's talk to a database: some only write files, and know no URL.
fn takes_url(arguments: &[String]) -> bool {
    let mut words = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-'));
    match words.next() {
        Some("migrate" | "mig") => !matches!(words.next(), Some("add" | "build-script" | "help") | None),
        Some("database" | "db") => !matches!(words.next(), Some("help") | None),
        Some("prepare" | "prep") => true,
        _ => false,
    }
}

/// `--target NAME` is ours wherever it stands; sqlx has no such flag.
fn split_off_target(arguments: Vec<String>) -> (Vec<String>, Option<String>) {
    let mut rest = Vec::new();
    let mut target = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--target" {
            target = arguments.next();
        } else if let Some(name) = argument.strip_prefix("--target=") {
            target = Some(name.to_owned());
        } else {
            rest.push(argument);
        }
    }
    (rest, target)
}
