//! Restores a backup into a new database beside the target's. Nothing is overwritten.

use std::path::PathBuf;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::manifest::{DUMP_FOLDER, Manifest, TableEntry};
use crate::backup::{BackupError, files, restore};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::postgres::contents::{self, Columns, Contents};
use crate::postgres::identifier::{literal, quote};
use crate::postgres::query::{Stopped, sqlstate};
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;
use crate::postgres::version::Version;
use crate::postgres::catalog;
use crate::report::format::plural;
use crate::target::Target;

/// See the module.
pub struct Restore {
    /// The backup's folder.
    pub backup: PathBuf,
    /// The new database's name.
    pub into: String,
}

#[async_trait]
impl Step for Restore {
    fn name(&self) -> &'static str {
        "restore"
    }

    fn title(&self) -> &'static str {
        "check every byte of the backup, restore it into a new database, compare"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let folder = self.backup.canonicalize().map_err(Error::io("find", &self.backup))?;
        let manifest = Manifest::read(&folder)?;
        // pg_restore does not notice a flipped bit: nothing is restored before every digest fits.
        files::check(&folder, &manifest)?;
        let mut session = cx.connect_and_tell("restore").await?;
        let server = session.version();
        fits(&mut session, &manifest, server).await?;
        let tools = cx.tools(server).await?;
        let database = create(&mut session, &self.into, &manifest.encoding).await?;
        let restored = self.fill(cx, &tools, &folder, &manifest, &database).await;
        if restored.is_err() {
            // What is half there must not be mistaken for a database.
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(&self.into));
            let mut cleaner = Session::connect(session.target(), "restore", &tokio_util::sync::CancellationToken::new()).await?;
            cleaner.execute(&drop).await.map_err(Stopped::doing(format!("drop the unfinished database {}", self.into)))?;
            cleaner.close().await;
        }
        session.close().await;
        restored?;
        Ok(StepReport::done(format!(
            "{} in {} are in database {}, equal to the backup",
            plural(manifest.rows(), "row"), plural(manifest.tables.len() as u64, "table"), self.into
        )))
    }
}

impl Restore {
    async fn fill(&self, cx: &Context, tools: &Tools, folder: &std::path::Path, manifest: &Manifest, database: &Target) -> Result<()> {
        let jobs = cx.workspace.config.backup.jobs.max(1);
        restore::run(tools, &folder.join(DUMP_FOLDER), database, jobs, &cx.cancel).await?;
        let mut session = Session::connect(database, "restore", &cx.cancel).await?;
        session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare the restored database"))?;
        session.execute("ANALYZE").await.map_err(Stopped::doing("analyse the restored database"))?;
        let columns: Columns = contents::all_tables(&mut session).await?;
        let found = contents::read_all(&mut session, &columns).await?;
        manifest.check_sequences(&crate::postgres::sequences::read(&mut session, None).await?)?;
        session.close().await;
        compare(&manifest.tables, &found)
    }
}

fn compare(expected: &[TableEntry], found: &Contents) -> Result<()> {
    let differences: Vec<String> = expected
        .iter()
        .filter_map(|table| match found.get(&table.name) {
            None => Some(format!("{} is missing", table.name)),
            Some(other) if other.rows != table.rows => {
                Some(format!("{} has {} rows instead of {}", table.name, other.rows, table.rows))
            }
            Some(other) if format!("{:032x}", other.sum) != table.fingerprint => {
                Some(format!("{} has as many rows, but not the same contents", table.name))
            }
            Some(_) => None,
        })
        .collect();
    if differences.is_empty() { Ok(()) } else { Err(BackupError::Wrong { differences }.into()) }
}

/// What the server lacks is told before anything starts.
async fn fits(session: &mut Session, manifest: &Manifest, server: Version) -> Result<()> {
    if server.major < manifest.server.major {
        return Err(BackupError::Older { backup: manifest.server.major, server: server.major }.into());
    }
    let roles = catalog::roles(session).await?;
    let rows = session
        .fetch_text("SELECT name FROM pg_available_extensions", usize::MAX)
        .await
        .map_err(Stopped::doing("list the available extensions"))?;
    let available: Vec<String> = rows.rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect();
    let missing_roles = manifest
        .surroundings
        .roles
        .iter()
        .filter(|role| !roles.iter().any(|other| other.name == role.name))
        .map(|role| format!("role {}", role.name));
    let missing_extensions = manifest
        .extensions
        .iter()
        .filter_map(|extension| extension.split(' ').next())
        .filter(|name| !available.iter().any(|other| other == name))
        .map(|name| format!("extension {name}"));
    let missing: Vec<String> = missing_roles.chain(missing_extensions).collect();
    if missing.is_empty() { Ok(()) } else { Err(BackupError::Missing { missing }.into()) }
}

async fn create(session: &mut Session, name: &str, encoding: &str) -> Result<Target> {
    let sql = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING {}", quote(name), literal(encoding));
    match session.execute(&sql).await {
        Ok(_) => Ok(session.target().with_database(name)),
        Err(Stopped::Failed(error)) if sqlstate(&error).as_deref() == Some("42P04") => {
            Err(BackupError::Occupied { database: name.into() }.into())
        }
        Err(stopped) => Err(Stopped::doing(format!("create database {name}"))(stopped)),
    }
}
