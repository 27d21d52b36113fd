//! One file a command: arguments in, a call of the library out.

mod anonymise;
mod bench;
mod completions;
mod db_backup;
mod doctor;
mod lint;
mod mark_applied;
mod migrate;
mod plan;
mod rehearse;
mod repair;
mod report;
mod restore;
mod rollback;
mod schema;
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
    let common = cli.common.clone();
    let open = || Shell::open(cli.common);
    match cli.command {
        // These are there for those who have no configuration, or none that can be read.
        Command::Doctor(wanted) => doctor::run(common, &wanted).await,
        Command::Completions { shell } => completions::run(shell),
        Command::Schema { of } => schema::run(of),
        Command::Rehearse { release, all, rows, traffic, smoke, sandbox } => {
            rehearse::run(open()?, release.as_deref(), all, rows, traffic, &smoke, &sandbox).await
        }
        Command::Smoke { url, release } => smoke::run(open()?, &url, release.as_deref()).await,
        Command::DbBackup { about, tables, format, proof, sandbox } => {
            let wanted = Wanted { tables, format: format.into() };
            db_backup::run(open()?, about, wanted, proof.map(Into::into), &sandbox).await
        }
        Command::Anonymise { backup, fresh, sample, random_key, sandbox } => {
            anonymise::run(open()?, backup, fresh, sample, random_key, &sandbox).await
        }
        Command::Restore { backup, anonymised, into, tables, swap, clean } => {
            let place = match (swap, clean) {
                (true, _) => restore::Place::Swap,
                (_, true) => restore::Place::Clean,
                _ => restore::Place::Beside { into, tables },
            };
            restore::run(open()?, backup, place, anonymised).await
        }
        Command::Migrate { goal, unsure, answers } => migrate::run(open()?.unsure(unsure), &goal, &answers).await,
        Command::MarkApplied { version, force, reason, sandbox } => {
            mark_applied::run(open()?, version, force, reason, &sandbox).await
        }
        Command::Repair { version, reason } => repair::run(open()?, version, reason).await,
        Command::Verify { contract } => verify::run(open()?, contract).await,
        Command::Watch { lasts, every } => watch::run(open()?, lasts, every).await,
        Command::Rollback { to, steps, way, unsure, answers, sandbox } => {
            rollback::run(open()?.unsure(unsure), to, steps, way, &answers, &sandbox).await
        }
        Command::Report { record, format, output } => report::run(&open()?, record, format, output),
        Command::Status => status::run(&open()?).await,
        Command::Plan { goal, shown } => plan::run(&open()?, &goal, &shown).await,
        Command::Lint => {
            // Its folder is the root.
            open()?;
            lint::run()
        }
        Command::Setup => setup::run(&open()?),
        Command::Test { provider, arguments } => {
            // Its folder is the root.
            open()?;
            test::run(provider, &arguments).await
        }
        Command::Sqlx { arguments } => on_this_thread(sqlx::run(&open()?, arguments)),
        Command::Bench { rows, only } => on_this_thread(bench::run(open()?, rows, only.as_deref())),
    }
}
