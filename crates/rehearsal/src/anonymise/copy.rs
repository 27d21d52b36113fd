//! From a backup to an anonymised copy: restore, give every column its rule, dump, look, and only then keep it.

use std::path::{Path, PathBuf};

use chrono::Utc;

use super::apply::{self, Applied};
use super::canary::{self, Trial};
use super::catalog::Catalog;
use super::config::LargeObjects;
use super::coverage::{self, Plan};
use super::failure::AnonymiseError;
use super::key::Key;
use super::mark::{self, KeyOrigin, Mark};
use super::sample::{self, Share};
use super::{leftovers, own_tables, real_values, secrets};
use crate::backup::manifest::{DUMP_FOLDER, Manifest};
use crate::backup::partial::{self, Partial, private_folder};
use crate::backup::proof::PROOF_DATABASE;
use crate::backup::{BackupError, ProofLevel, dump, files, restore};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::postgres::archive::Archive;
use crate::postgres::catalog as schema;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;
use crate::postgres::tools::{Invocation, Tools};

/// The sandbox's databases: definitions alone, the backup as it is, where the rules are tried, and the copy.
const RULES: &str = "rehearsal_rules";
const ORIGINAL: &str = "rehearsal_original";
const TRIAL: &str = "rehearsal_trial";
const COPY: &str = "rehearsal_anonymised";

/// Indexes and page headers make of a packed dump about eight times as much, and at the worst moment there are
/// the original, the copy with its old rows beside the new ones, and the proof.
const BYTES_PER_DUMPED: u64 = 8 * 4;

/// More rows than that with the value that they had are no chance: one in so many, and a few.
const UNCHANGED_IN: u64 = 100;
const UNCHANGED_ANYWAY: u64 = 3;

/// What is wanted.
pub struct Wanted {
    /// The backup's folder; without one, the backup that the run has just made.
    pub backup: Option<PathBuf>,
    /// What pseudonyms are made with.
    pub key: Key,
    /// Where it came from.
    pub key_origin: KeyOrigin,
    /// Not all of the rows.
    pub sample: Option<Share>,
}

/// What was made.
pub struct Made {
    /// Its folder.
    pub path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Columns that have other values now.
    pub columns: usize,
    /// How many of them a planted text went through.
    pub planted: usize,
    /// What somebody should look at.
    pub to_look_at: Vec<String>,
}

/// Makes an anonymised copy.
///
/// # Errors
/// [`AnonymiseError`], [`BackupError`], or those of PostgreSQL's programs. Nothing is kept then.
pub async fn make(cx: &mut Context, wanted: &Wanted) -> Result<Made> {
    let folder = match (&wanted.backup, &cx.backup) {
        (Some(folder), _) | (None, Some((folder, _))) => folder.clone(),
        (None, None) => {
            let folder = cx.backup_folder();
            return Err(BackupError::Nothing { target: "this run".into(), folder }.into());
        }
    };
    let folder = folder.canonicalize().map_err(Error::io("find", &folder))?;
    let original = Manifest::read(&folder)?;
    if original.anonymised.is_some() {
        return Err(AnonymiseError::Already { folder }.into());
    }
    files::check(&folder, &original)?;
    let tools = prepare(cx, &original).await?;
    let dump_of_original = folder.join(DUMP_FOLDER);
    let plan = plan(cx, &tools, &original, &dump_of_original).await?;
    fill(cx, &tools, &original, &dump_of_original).await?;
    let trial = try_out(cx, &tools, &plan, &wanted.key).await?;
    let (applied, mut to_look_at) = transform(cx, &plan, wanted).await?;
    let (made, mut manifest) = dump_anew(cx).await?;
    let kept = check(cx, &tools, &plan, &made).await?;
    to_look_at.extend(kept.into_iter().map(|phrase| format!("{phrase}, which is meant to stay as it is")));
    to_look_at.extend(unproven(&trial));
    to_look_at.extend(plan.unused.iter().map(|name| format!("nothing in the database is called `{name}`")));
    let mark = Mark {
        from_run: original.run_id.clone(),
        key: wanted.key_origin,
        columns: applied.len(),
        sample: wanted.sample.as_ref().map(|share| share.said.clone()),
    };
    let sandbox = cx.running_sandbox().ok_or_else(no_sandbox)?;
    let archive = Archive { tools: &tools, dump: &made.join(DUMP_FOLDER), entries: None };
    let named = archive.named(&sandbox.database(COPY), &cx.cancel).await?.roles;
    take_over(&mut manifest, original, mark);
    manifest.surroundings.keep_only(&named);
    let path = keep(cx, &made, &mut manifest)?;
    Ok(Made { path, manifest, columns: applied.len(), planted: trial.columns, to_look_at })
}

/// A sandbox with the roles that the dump names.
async fn prepare(cx: &mut Context, original: &Manifest) -> Result<Tools> {
    let bytes = original.bytes().saturating_mul(BYTES_PER_DUMPED);
    let cancel = cx.cancel.clone();
    let sandbox = cx.sandbox(Some(original.server.major), Some(bytes)).await?;
    sandbox.create_roles(&original.surroundings.roles, &cancel).await?;
    // A proof of this run may be there; it is made again.
    sandbox.drop_database(PROOF_DATABASE, &cancel).await?;
    let (version, copy) = (sandbox.version(), sandbox.database(COPY));
    cx.enter(copy)?;
    cx.tools(version).await
}

/// The rules are looked at before a row is restored: whoever has forgotten one should not wait for it.
async fn plan(cx: &Context, tools: &Tools, original: &Manifest, dump: &Path) -> Result<Plan> {
    let sandbox = cx.running_sandbox().ok_or_else(no_sandbox)?;
    let definitions = sandbox.create_database(RULES, Some(&original.encoding), &cx.cancel).await?;
    let arguments = [
        "--exit-on-error".to_owned(),
        "--schema-only".to_owned(),
        // A database with one cannot be dropped.
        "--no-subscriptions".to_owned(),
        "--no-password".to_owned(),
        format!("--dbname={RULES}"),
        dump.display().to_string(),
    ];
    let invocation = Invocation {
        program: "pg_restore",
        arguments: &arguments,
        target: &definitions,
        purpose: "anonymise",
        folder: Some(dump),
        list: None,
    };
    tools.run(&invocation, &cx.cancel).await?;
    let mut session = Session::connect(&definitions, "anonymise", &cx.cancel).await?;
    let history = schema::whole_name(&mut session, &cx.workspace.config.history_table).await?;
    session.execute("SET search_path = ''").await.map_err(Stopped::doing("prepare the sandbox"))?;
    let catalog = Catalog::read(&mut session, &history).await?;
    session.close().await;
    sandbox.drop_database(RULES, &cx.cancel).await?;
    Ok(coverage::plan(&cx.workspace.config.anonymise, &catalog)?)
}

fn no_sandbox() -> Error {
    crate::providers::SandboxError::None { reasons: Vec::new() }.into()
}

/// Restores the backup as it is.
async fn fill(cx: &Context, tools: &Tools, original: &Manifest, dump: &Path) -> Result<()> {
    let sandbox = cx.running_sandbox().ok_or_else(no_sandbox)?;
    let database = sandbox.create_database(ORIGINAL, Some(&original.encoding), &cx.cancel).await?;
    let archive = Archive { tools, dump, entries: None };
    restore::run(&archive, &database, cx.workspace.config.backup.jobs.max(1), &cx.cancel).await?;
    let mut session = Session::connect(&database, "anonymise", &cx.cancel).await?;
    let prepare = "SET statement_timeout = 0; ANALYZE";
    session.execute(prepare).await.map_err(Stopped::doing("prepare the restored database"))?;
    let count = "SELECT count(*) FROM pg_largeobject_metadata";
    let rows = session.fetch_text(count, 1).await.map_err(Stopped::doing("count the large objects"))?;
    let count = rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0)?.parse().ok()).unwrap_or_default();
    let half_done = own_tables::refuse_half_done(&mut session).await;
    session.close().await;
    half_done?;
    if count > 0 && cx.workspace.config.anonymise.large_objects.is_none() {
        return Err(AnonymiseError::LargeObjects { count }.into());
    }
    Ok(())
}

async fn try_out(cx: &Context, tools: &Tools, plan: &Plan, key: &Key) -> Result<Trial> {
    let sandbox = cx.running_sandbox().ok_or_else(no_sandbox)?;
    let database = sandbox.copy_database(&sandbox.database(ORIGINAL), TRIAL, &cx.cancel).await?;
    let trial = canary::run(&database, plan, key, tools, &cx.backup_folder(), &cx.cancel).await;
    sandbox.drop_database(TRIAL, &cx.cancel).await?;
    trial
}

fn unproven(trial: &Trial) -> Option<String> {
    let without = &trial.without;
    (!without.is_empty())
        .then(|| format!("nothing could be planted in {}: their rules were not tried", without.join(", ")))
}

/// Makes the copy out of the original. Gives what was done, and what should be looked at.
async fn transform(cx: &Context, plan: &Plan, wanted: &Wanted) -> Result<(Vec<Applied>, Vec<String>)> {
    let sandbox = cx.running_sandbox().ok_or_else(no_sandbox)?;
    let database = sandbox.copy_database(&sandbox.database(ORIGINAL), COPY, &cx.cancel).await?;
    let mut session = Session::connect(&database, "anonymise", &cx.cancel).await?;
    let installed = apply::install(&mut session, &wanted.key).await?;
    if let Some(share) = &wanted.sample {
        for (table, rows) in sample::take(&mut session, plan, share).await? {
            figure(cx, &table, format!("{rows} rows of the sample"));
        }
        cx.events.info(format!("a sample of {}: it proves nothing about how long anything takes", share.said));
    }
    let applied = apply::apply(&mut session, plan, &cx.events).await?;
    let mut to_look_at = Vec::new();
    for done in &applied {
        figure(cx, &done.column, format!("{}, {} rows, {} as before", done.rule, done.rows, done.unchanged));
        if done.unchanged > UNCHANGED_ANYWAY.max(done.rows / UNCHANGED_IN) {
            let found = vec![format!(
                "{} of {} rows of {} have the value that they had",
                done.unchanged, done.rows, done.column
            )];
            return Err(AnonymiseError::Leak { found }.into());
        }
    }
    let drop_large_objects = cx.workspace.config.anonymise.large_objects == Some(LargeObjects::Drop);
    own_tables::empty(&mut session).await?;
    to_look_at.extend(secrets::remove(&mut session, drop_large_objects).await?);
    cx.events.info(secrets::definitions(&mut session).await?);
    apply::uninstall(&mut session, installed).await?;
    session.close().await;
    Ok((applied, to_look_at))
}

fn figure(cx: &Context, name: &impl ToString, value: String) {
    cx.events.emit(EventKind::Figure { name: name.to_string(), value });
}

/// The same that makes backups: dumped, restored, compared. It is told by nobody: it is no backup.
async fn dump_anew(cx: &mut Context) -> Result<(PathBuf, Manifest)> {
    let events = std::mem::take(&mut cx.events);
    let made = dump::make(cx, ProofLevel::Full).await;
    cx.events = events;
    made
}

/// Looks at the database that the new dump was restored into.
async fn check(cx: &Context, tools: &Tools, plan: &Plan, made: &Path) -> Result<Vec<String>> {
    let sandbox = cx.running_sandbox().ok_or_else(no_sandbox)?;
    let restored = sandbox.database(PROOF_DATABASE);
    let mut before = Session::connect(&sandbox.database(ORIGINAL), "anonymise", &cx.cancel).await?;
    let mut after = Session::connect(&restored, "anonymise", &cx.cancel).await?;
    for session in [&mut before, &mut after] {
        session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("look at the copy"))?;
    }
    let mut found = leftovers::of_values(plan, &mut before, &mut after).await?;
    found.extend(leftovers::of_references(plan, &mut before, &mut after).await?);
    found.extend(leftovers::of_uniqueness(&mut before, &mut after).await?);
    if !found.is_empty() {
        return Err(AnonymiseError::Leak { found }.into());
    }
    let (dump, folder) = (made.join(DUMP_FOLDER), cx.backup_folder());
    let kept = real_values::look(plan, &mut before, &dump, &restored, tools, &folder, &cx.cancel).await;
    before.close().await;
    after.close().await;
    kept
}

/// Says of itself what it is: where the rows come from, and that they are others.
fn take_over(manifest: &mut Manifest, original: Manifest, mark: Mark) {
    manifest.target = original.target;
    // Without the role: it may be called as a person is.
    manifest.address = original.address.rsplit_once('@').map_or(&*original.address, |(_, place)| place).to_owned();
    manifest.database = original.database;
    manifest.origin = original.origin;
    manifest.locale = original.locale;
    manifest.surroundings = original.surroundings;
    // Settings of the application's own (`app.token`) may be anything.
    manifest.surroundings.settings.retain(|(name, _)| !name.contains('.'));
    manifest.made_at = Utc::now();
    manifest.anonymised = Some(mark);
}

/// Puts it beside the backups of its target, where nobody looks for one.
fn keep(cx: &Context, made: &Path, manifest: &mut Manifest) -> Result<PathBuf> {
    let config = &cx.workspace.config.backup;
    // What is sent or encrypted is sent from where backups are sent from.
    let backups = config.to.folder().filter(|_| !config.is_staged()).unwrap_or(&config.staging);
    let folder = backups.join(mark::folder_name(&manifest.target));
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    partial::sweep(&folder)?;
    let name = format!("{}-{}", crate::run::timestamp(), manifest.database.replace('/', "_"));
    let under_way = Partial::create(&folder, &name)?;
    manifest.id = under_way.name();
    for file in &manifest.files {
        let (from, to) = (made.join(&file.path), under_way.path.join(&file.path));
        if let Some(parent) = to.parent().filter(|parent| !parent.exists()) {
            private_folder(parent)?;
        }
        std::fs::copy(&from, &to).map_err(Error::io("write", &to))?;
        files::keep(&under_way.path, Path::new(&file.path))?;
    }
    files::check(&under_way.path, manifest)?;
    partial::sync(&under_way.path.join(DUMP_FOLDER))?;
    manifest.write(&under_way.path)?;
    partial::sync(&under_way.path)?;
    let finished = under_way.finish()?;
    partial::sync(&folder)?;
    Ok(finished)
}
