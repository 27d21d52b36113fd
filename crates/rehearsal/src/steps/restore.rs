//! Restores a backup into a new database beside the target's. Nothing is overwritten.

use std::collections::BTreeSet;
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
use crate::postgres::{archive, catalog, pooler, settings};
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
        pooler::refuse_known(&session)?;
        let server = session.version();
        if server.major < manifest.server.major {
            return Err(BackupError::Older { backup: manifest.server.major, server: server.major }.into());
        }
        let tools = cx.tools(server).await?;
        let named = archive::roles(&tools, &folder.join(DUMP_FOLDER), session.target(), &cx.cancel).await?;
        fits(&mut session, &manifest, &named).await?;
        let database = create(&mut session, &self.into, &manifest.encoding).await?;
        let restored = self.fill(cx, &tools, &folder, &manifest, &database).await;
        if restored.is_err() {
            // What is half there must not be mistaken for a database.
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(&self.into));
            let mut cleaner =
                Session::connect(session.target(), "restore", &tokio_util::sync::CancellationToken::new()).await?;
            cleaner
                .execute(&drop)
                .await
                .map_err(Stopped::doing(format!("drop the unfinished database {}", self.into)))?;
            cleaner.close().await;
        }
        let different = match &restored {
            Ok(_) => differences(&mut session, &manifest.database, &self.into).await?,
            Err(_) => None,
        };
        session.close().await;
        let mut worth_a_look: Vec<String> = restored?
            .into_iter()
            .map(|setting| format!("the new database was not given the original's setting {setting}"))
            .collect();
        worth_a_look.extend(different);
        let summary = format!(
            "{} in {} are in database {}, equal to the backup",
            plural(manifest.rows(), "row"),
            plural(manifest.tables.len() as u64, "table"),
            self.into
        );
        if worth_a_look.is_empty() {
            return Ok(StepReport::done(summary));
        }
        for text in &worth_a_look {
            cx.events.warn(text.clone());
        }
        Ok(StepReport::warned(format!("{summary}; {} to look at", worth_a_look.len())))
    }
}

impl Restore {
    /// Gives the original's settings that the new database could not be given.
    async fn fill(
        &self,
        cx: &Context,
        tools: &Tools,
        folder: &std::path::Path,
        manifest: &Manifest,
        database: &Target,
    ) -> Result<Vec<String>> {
        let jobs = cx.workspace.config.backup.jobs.max(1);
        restore::run(tools, &folder.join(DUMP_FOLDER), database, jobs, &cx.cancel).await?;
        let mut session = Session::connect(database, "restore", &cx.cancel).await?;
        session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare the restored database"))?;
        session.execute("ANALYZE").await.map_err(Stopped::doing("analyse the restored database"))?;
        let columns: Columns = contents::all_tables(&mut session).await?;
        let found = contents::read_all(&mut session, &columns).await?;
        compare(&manifest.tables, &found)?;
        manifest.check_sequences(&crate::postgres::sequences::read(&mut session, None).await?)?;
        // What the role has set for itself goes for it here as well; the rest was the original's own.
        let there = catalog::settings(&mut session).await?;
        let missing: Vec<_> =
            manifest.surroundings.settings.iter().filter(|setting| !there.contains(setting)).cloned().collect();
        let refused = settings::apply(&mut session, &self.into, &missing).await?;
        session.close().await;
        Ok(refused)
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
async fn fits(session: &mut Session, manifest: &Manifest, named: &BTreeSet<String>) -> Result<()> {
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
        // A server has roles for other databases, and one of those may have gone.
        .filter(|role| named.contains(&role.name))
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

/// What text is sorted and compared by is the database's, not the dump's. The original's can only be
/// known while it is there: nothing is said without it.
async fn differences(session: &mut Session, original: &str, new: &str) -> Result<Option<String>> {
    let rows = session
        .fetch_text(
            // The columns' names differ between the majors.
            &format!(
                "SELECT concat_ws(' ', datcollate, datctype, \
                        CASE to_jsonb(d) ->> 'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END, \
                        coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')), datname = {} \
                 FROM pg_database d WHERE datname IN ({}, {})",
                literal(new),
                literal(new),
                literal(original)
            ),
            2,
        )
        .await
        .map_err(Stopped::doing("look at the collation of the new database"))?;
    let collation =
        |is_new: &str| rows.rows.iter().find(|row| row[1].as_deref() == Some(is_new)).and_then(|row| row[0].clone());
    Ok(match (collation("t"), collation("f")) {
        (Some(here), Some(there)) if here != there => {
            Some(format!("the collation of {new} is {here}, that of {original} is {there}: text is sorted by it"))
        }
        _ => None,
    })
}
