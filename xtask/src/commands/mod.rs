//! One file a command: arguments in, a call of the library out.

mod anonymise;
mod bench;
mod db_backup;
mod lint;
mod mark_applied;
mod migrate;
mod plan;
mod rehearse;
mod repair;
mod report;
mod restore;
mod rollback;
mod setup;
mod smoke;
mod sqlx;
mod status;
mod test;
mod verify;
mod watch;

use rehearsal::backup::export::Wanted;

use crate::cli::{Cli, Command};
use crate::shell::{Shell, on_this_thread};

/// Runs the command of the command line.
pub fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // On a thread that watches the sockets as well: to another one each answer of a server would have to be
    // handed over.
    let outcome = runtime.block_on(async { tokio::spawn(run(cli)).await? });
    // A blocking task that is stuck (a hung file system) must not hold the exit up.
    runtime.shutdown_background();
    outcome
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let shell = Shell::open(cli.common)?;
    match cli.command {
        Command::Rehearse { release, all, rows, traffic, smoke, sandbox } => {
            rehearse::run(shell, release.as_deref(), all, rows, traffic, &smoke, &sandbox).await
        }
        Command::Smoke { url, release } => smoke::run(shell, &url, release.as_deref()).await,
        Command::DbBackup { about, tables, format, proof, sandbox } => {
            let wanted = Wanted { tables, format: format.into() };
            db_backup::run(shell, about, wanted, proof.map(Into::into), &sandbox).await
        }
        Command::Anonymise { backup, fresh, sample, random_key, sandbox } => {
            anonymise::run(shell, backup, fresh, sample, random_key, &sandbox).await
        }
        Command::Restore { backup, anonymised, into, tables, swap, clean } => {
            let place = match (swap, clean) {
                (true, _) => restore::Place::Swap,
                (_, true) => restore::Place::Clean,
                _ => restore::Place::Beside { into, tables },
            };
            restore::run(shell, backup, place, anonymised).await
        }
        Command::Migrate { goal, unsure, answers } => migrate::run(shell.unsure(unsure), &goal, &answers).await,
        Command::MarkApplied { version, force, reason, sandbox } => {
            mark_applied::run(shell, version, force, reason, &sandbox).await
        }
        Command::Repair { version, reason } => repair::run(shell, version, reason).await,
        Command::Verify { contract } => verify::run(shell, contract).await,
        Command::Watch { lasts, every } => watch::run(shell, lasts, every).await,
        Command::Rollback { to, steps, way, unsure, answers, sandbox } => {
            rollback::run(shell.unsure(unsure), to, steps, way, &answers, &sandbox).await
        }
        Command::Report { record, format, output } => report::run(&shell, record, format, output),
        Command::Status => status::run(&shell).await,
        Command::Plan { goal, shown } => plan::run(&shell, &goal, &shown).await,
        Command::Lint => lint::run(),
        Command::Setup => setup::run(&shell),
        Command::Test { provider, arguments } => test::run(provider, &arguments).await,
        Command::Sqlx { arguments } => on_this_thread(sqlx::run(&shell, arguments)),
        Command::Bench { rows, only } => on_this_thread(bench::run(shell, rows, only.as_deref())),
    }
}
