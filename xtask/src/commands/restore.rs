//! `restore`: a backup or some of its tables into a new database beside the old one, or in its place.

use std::io::Write;

use rehearsal::backup::beside;
use rehearsal::backup::choice;
use rehearsal::backup::in_place;
use rehearsal::backup::since::{self, Depth};
use rehearsal::backup::whose::Whose;
use rehearsal::postgres::databases;
use rehearsal::report::format;
use rehearsal::run::Command;
use rehearsal::steps::lists;
use rehearsal::steps::restore::{Into, Restore};
use rehearsal::target::Target;

use crate::backup_source::{Source, whose};
use crate::out;
use crate::shell::Shell;
use crate::ways;

/// Where the backup goes.
pub enum Place {
    /// Into a new database, all of it or these tables.
    Beside { into: Option<String>, tables: Vec<String> },
    /// In the place of the target's database.
    Swap,
    /// In the target's database.
    Clean,
}

pub async fn run(shell: Shell, backup: Option<String>, place: Place, anonymised: bool) -> anyhow::Result<()> {
    let target = shell.target().await?;
    if matches!(place, Place::Clean) {
        let mut session = shell.connect(&target, "restore").await?;
        let may_begin = in_place::may_begin(&mut session).await;
        session.close().await;
        may_begin?;
    }
    // Whoever names a backup has chosen it; otherwise it is one of the very database.
    let whose = if backup.is_none() { Some(whose(&shell, &target).await?) } else { None };
    let source = Source::of(&shell, target.name(), backup.as_deref(), whose.as_ref()).await?;
    let status = format!("cargo xtask status --target {}", target.name());
    let (into, tables, next) = match place {
        Place::Swap => {
            show(&shell, &target, &source, &SWAP).await?;
            shell.confirm("put a backup in the place of the database", &target)?;
            let keeps = beside::name(target.database(), beside::BEFORE);
            let next = format!("{status}; drop {keeps} when nobody needs it any more");
            (Into::Place { keeps }, Vec::new(), next)
        }
        Place::Clean => {
            in_place::may_take(&source.manifest().await?, target.database()).map_err(rehearsal::Error::from)?;
            show(&shell, &target, &source, &CLEAN).await?;
            shell.confirm("replace the contents of the database by those of a backup", &target)?;
            (Into::Contents, Vec::new(), status)
        }
        Place::Beside { into, tables } => {
            let into = into.unwrap_or_else(|| beside::name(target.database(), "restored"));
            let next = if tables.is_empty() {
                format!("look at database {into}; `cargo xtask restore --swap` puts a backup in the old one's place")
            } else {
                rows_back(&into, target.database(), &tables)
            };
            (Into::Beside(into), tables, next)
        }
    };
    let command = Command {
        name: "restore",
        target: target.to_string(),
        retry: None,
        release: None,
        next: Some(next),
        steps: source.steps(|backup| lists::restore(Restore { backup, into, tables, anonymised })),
    };
    let settings = shell.settings(None);
    let workspace = shell.workspace()?;
    let outcome = shell.run(command, workspace, settings, Some(target), |_| {}).await;
    source.release().await;
    outcome
}

/// How old rows come back from a database beside: by psql, which the user of a dump has.
fn rows_back(beside: &str, database: &str, tables: &[String]) -> String {
    let table = tables.iter().find(|table| !table.contains('*')).map_or("TABLE", String::as_str);
    format!(
        "look at database {beside}, and bring back the rows that you want: `psql -d {beside} -c \"COPY (SELECT * FROM {table} WHERE …) TO STDOUT\" \
         | psql -d {database} -c \"COPY {table} FROM STDIN\"`; drop it when nobody needs it any more"
    )
}

/// What is said of a way to take what is there away.
struct Words {
    going: &'static str,
    lost: &'static str,
    clients: bool,
}

const SWAP: Words = Words {
    going: "is going to take its place",
    lost: "written since, and only in the database that stays beside from then on",
    clients: true,
};

const CLEAN: Words = Words {
    going: "is going to replace its contents",
    lost: "written since, and only in the backup that is made before from then on",
    clients: false,
};

/// What it takes away from clients, before anybody is asked.
async fn show(shell: &Shell, target: &Target, source: &Source, words: &Words) -> anyhow::Result<()> {
    if shell.common.quiet {
        return Ok(());
    }
    let manifest = source.manifest().await?;
    let mut session = shell.connect(target, "restore").await?;
    let limit = shell.config.limits.check_timeout;
    let changed = since::since(&mut session, &manifest, &shell.config.history_table, Depth::Contents, limit).await?;
    let clients = databases::clients(&mut session, target.database()).await?;
    let is_of_it = Whose::of(&mut session, target.database()).await?.is_of(&manifest);
    session.close().await;
    let mut text = format!(
        "{target}: {}, made {} ago at version {}, {}\n",
        source.place(),
        choice::age(&manifest),
        manifest.migration.unwrap_or(0),
        words.going
    );
    if !is_of_it {
        text.push_str(&format!("  look at this: it is a backup of another database, {}\n", manifest.address));
    }
    if changed.is_empty() {
        text.push_str("  nothing was written since: every table holds the same\n");
    } else {
        text.push_str(&format!("  {}:\n", words.lost));
    }
    for line in ways::changed_lines(&changed) {
        text.push_str(&format!("    {line}\n"));
    }
    if words.clients {
        text.push_str(&format!("  connected now, and disconnected then: {}\n", format::plural(clients, "client")));
    }
    out::stderr().write_all(text.as_bytes())?;
    Ok(())
}
