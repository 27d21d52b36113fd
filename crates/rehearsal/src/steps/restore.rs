//! Restores a backup into a new database, proves it, and gives it a name of its own or the target's.
//!
//! Nothing is overwritten: in the target's place, what was there stays beside it. Where there may be neither another
//! database nor another name, the contents are replaced, and a backup of them was made before.

use std::path::PathBuf;

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::beside::{self, Beside, Swept};
use crate::backup::in_place::{self, Replacing};
use crate::backup::manifest::{DUMP_FOLDER, Manifest};
use crate::backup::selection::{self, Selection};
use crate::backup::switch::Switch;
use crate::backup::whose::Whose;
use crate::backup::{BackupError, Outcome, RestoreError, files, restore};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::postgres::archive::Archive;
use crate::postgres::connect::ConnectError;
use crate::postgres::databases::{self, Described};
use crate::postgres::locks::Lock;
use crate::postgres::query::{Stopped, server_words};
use crate::postgres::session::Session;
use crate::postgres::{catalog, pooler, settings};
use crate::report::format::{duration, plural};
use crate::target::Target;

/// What becomes of the restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Into {
    /// It gets this name, which is free, or that of an empty database.
    Beside(String),
    /// It takes the target's place; what was there gets this name.
    Place {
        /// See above.
        keeps: String,
    },
    /// What the target holds gives way to it, in one transaction. The step before has made a backup of it.
    Contents,
}

/// See the module.
pub struct Restore {
    /// The backup's folder.
    pub backup: PathBuf,
    /// Where it goes.
    pub into: Into,
    /// Only these tables, as [`selection::choose`] takes them; all by default.
    pub tables: Vec<String>,
    /// Also an anonymised copy of this very target.
    pub anonymised: bool,
}

#[async_trait]
impl Step for Restore {
    fn name(&self) -> &'static str {
        "restore"
    }

    fn title(&self) -> &'static str {
        match self.into {
            Into::Beside(_) => "check every byte of the backup, restore it into a new database, compare",
            Into::Contents => "check every byte of the backup, replace what is there in one transaction, compare",
            Into::Place { .. } => "check every byte of the backup, restore it beside, compare, change names",
        }
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let folder = self.backup.canonicalize().map_err(Error::io("find", &self.backup))?;
        let manifest = Manifest::read(&folder)?;
        if manifest.proof.outcome == Outcome::Wrong {
            return Err(BackupError::FoundWrong { folder, state: manifest.proof.to_string() }.into());
        }
        if !manifest.is_proven() {
            cx.events.warn(format!("this backup is {}", manifest.proof));
        }
        // pg_restore does not notice a flipped bit: nothing is restored before every digest fits.
        files::check(&folder, &manifest)?;
        let mut session = self.connect(cx).await?;
        pooler::refuse_known(&session)?;
        if let Some(mark) = manifest.anonymised.as_ref().filter(|_| !self.anonymised) {
            let whose = Whose::of(&mut session, cx.target()?.database()).await?;
            mark.may_go_to(cx.target()?, &whose, &manifest)?;
        }
        let server = session.version();
        if server.major < manifest.server.major {
            return Err(BackupError::Older { backup: manifest.server.major, server: server.major }.into());
        }
        let tools = cx.tools(server).await?;
        let dump = folder.join(DUMP_FOLDER);
        let mut list_folder = None;
        let mut archive = Archive { tools: &tools, dump: &dump, entries: None };
        let (manifest, not_whole) = if self.tables.is_empty() {
            (manifest, Vec::new())
        } else {
            let list = archive.list(session.target(), &cx.cancel).await?;
            let Selection { list, manifest, empty, left_out } = selection::choose(&list, &manifest, &self.tables)?;
            let path = list_folder.insert(cx.throwaway_folder()?).path().join("entries");
            std::fs::write(&path, list).map_err(Error::io("write", &path))?;
            archive.entries = Some(path);
            (manifest, not_whole(&empty, &left_out))
        };
        let named = archive.named(session.target(), &cx.cancel).await?;
        let left_out = named.subscriptions.iter().map(|name| {
            format!("subscription {name} is left out: its slot at the publisher is the original's; make it anew where it is wanted")
        });
        let not_whole: Vec<String> = not_whole.into_iter().chain(left_out).collect();
        restore::fits(&mut session, &manifest, &named).await?;
        let source = Source { manifest: &manifest, archive: &archive };
        let outcome = match &self.into {
            Into::Beside(name) => beside_it(cx, &source, name).await,
            Into::Place { keeps } => in_its_place(cx, &mut session, &source, keeps).await,
            Into::Contents => contents(cx, &mut session, &source).await,
        };
        // Where it is in the database that has given way, the server has ended it.
        session.close().await;
        outcome.map(|Done { summary, mut doubts }| {
            doubts.extend(not_whole);
            let of = plural(manifest.rows(), "row");
            let tables = plural(manifest.tables.len() as u64, "table");
            let summary = format!("{of} in {tables} {summary}");
            if doubts.is_empty() {
                return StepReport::done(summary);
            }
            let number = doubts.len();
            doubts.into_iter().for_each(|doubt| cx.events.warn(doubt));
            StepReport::warned(format!("{summary}; {number} to look at"))
        })
    }
}

impl Restore {
    /// A database that is gone is restored from outside.
    async fn connect(&self, cx: &Context) -> Result<Session> {
        match cx.connect_and_tell("restore").await {
            Err(Error::Connect(ConnectError::NoDatabase { .. })) => match &self.into {
                Into::Beside(_) => {
                    let session = databases::connect_beside(cx.target()?, "restore", &cx.cancel).await?;
                    cx.tell(&session);
                    Ok(session)
                }
                Into::Place { .. } | Into::Contents => {
                    Err(RestoreError::NothingToReplace { database: cx.target()?.database().into() }.into())
                }
            },
            session => session,
        }
    }
}

/// What there is to know of tables that were restored without the others.
fn not_whole(empty: &[String], left_out: &[String]) -> Vec<String> {
    let empty = empty.iter().map(|table| format!("{table} came along without its rows: a definition needs it"));
    let left_out = left_out.iter().map(|what| format!("left out, as it needs what was not asked for: {what}"));
    empty.chain(left_out).collect()
}

/// What is restored.
struct Source<'a> {
    manifest: &'a Manifest,
    archive: &'a Archive<'a>,
}

/// How it went: what stands behind the rows, and what is to be looked at.
struct Done {
    summary: String,
    doubts: Vec<String>,
}

/// Into a new database of that name; or into one that is there and empty.
async fn beside_it(cx: &Context, source: &Source<'_>, name: &str) -> Result<Done> {
    beside::usable(name)?;
    let target = cx.target()?;
    let mut outside = databases::connect_beside(target, "restore", &cx.cancel).await?;
    let like = databases::describe(&mut outside, target.database()).await?;
    let doubts = if databases::describe(&mut outside, name).await?.is_some() {
        let into = target.with_database(name);
        must_be_free(&mut outside, &into, cx).await?;
        restore::run_whole(source.archive, &into, &cx.cancel).await?;
        outside.close().await;
        compare_and_set(cx, source.manifest, &into, Some(name)).await?
    } else {
        let new = fill(cx, outside, source, like.as_ref()).await?;
        let doubts = match compare_and_set(cx, source.manifest, &new.database, Some(new.database.database())).await {
            Ok(doubts) => doubts,
            Err(error) => return Err(discarded(new, error).await),
        };
        new.finish(name).await?;
        doubts
    };
    Ok(Done { summary: format!("are in database {name}, equal to the backup"), doubts })
}

/// In the target's place.
async fn in_its_place(cx: &Context, session: &mut Session, source: &Source<'_>, keeps: &str) -> Result<Done> {
    let target = cx.target()?.clone();
    let place = target.database();
    // Whoever migrates meanwhile would do so in what is about to give way.
    let patience = cx.workspace.config.limits.run_lock_patience;
    Lock::Run.acquire(session, patience, cx.events.waits_for_run(patience)).await?;
    let mut outside = databases::connect_beside(&target, "restore", &cx.cancel).await?;
    let old = databases::describe(&mut outside, place).await?;
    let old = old.ok_or_else(|| RestoreError::NothingToReplace { database: place.into() })?;
    may_give_way(&old, place, &target)?;
    let new = fill(cx, outside, source, Some(&old)).await?;
    let made = async {
        compare_and_set(cx, source.manifest, &new.database, None).await?;
        hand_over(cx, &target, &new.database).await
    };
    let doubts = match made.await {
        Ok(doubts) => doubts,
        Err(error) => return Err(discarded(new, error).await),
    };
    let (outside, fresh) = new.let_go().await?;
    let switch = Switch {
        place,
        fresh: fresh.database(),
        keeps,
        comment: old.comment.as_deref(),
        patience: cx.workspace.config.limits.run_lock_patience,
    };
    let switched = match switch.run(&outside, &cx.cancel).await {
        Ok(switched) => switched,
        Err(error) => {
            outside.close().await;
            // The first error is the one to tell; what stays is swept by the next restore.
            let _ = beside::discard(&fresh, fresh.database()).await;
            return Err(error);
        }
    };
    outside.close().await;
    let took = duration(u64::try_from(switched.took.as_millis()).unwrap_or(u64::MAX));
    cx.events.emit(EventKind::Figure { name: "clients were held for".into(), value: took.clone() });
    let tries = if switched.tries > 0 { format!(" at try {}", switched.tries + 1) } else { String::new() };
    let ended = plural(switched.ended as u64, "session");
    Ok(Done {
        summary: format!(
            "are in the place of {place}, equal to the backup; changed over in {took}{tries}, {ended} ended; what was there is {keeps}"
        ),
        doubts,
    })
}

/// In the target itself, whose contents the step before has made a backup of.
async fn contents(cx: &Context, session: &mut Session, source: &Source<'_>) -> Result<Done> {
    // Whoever migrates meanwhile would do so in what is about to go.
    let patience = cx.workspace.config.limits.run_lock_patience;
    Lock::Run.acquire(session, patience, cx.events.waits_for_run(patience)).await?;
    in_place::may_begin(session).await?;
    let target = session.target().clone();
    let no_copy = || BackupError::Nothing { target: target.name().into(), folder: cx.backup_folder() };
    let (_, copy) = cx.backup.as_ref().ok_or_else(no_copy)?;
    let Archive { tools, dump, .. } = source.archive;
    let scratch = cx.throwaway_folder()?;
    let replacing = Replacing { manifest: source.manifest, copy, dump, tools, scratch: &scratch.path() };
    let differences = replacing.run(session, &cx.cancel).await?;
    let told = |difference| format!("not as in the backup: {difference}");
    Ok(Done {
        summary: format!(
            "are in {} as they were in the backup; what was there is in backup {}",
            target.database(),
            copy.id
        ),
        doubts: differences.into_iter().map(told).collect(),
    })
}

/// A new database with all that the backup has.
async fn fill(cx: &Context, outside: Session, source: &Source<'_>, like: Option<&Described>) -> Result<Beside> {
    let target = cx.target()?;
    let (new, swept) = Beside::create(outside, target, &source.manifest.encoding, like, &cx.cancel).await?;
    for Swept { name, stays } in swept {
        match stays {
            None => cx.events.info(format!("removed {name}, which a restore that was killed had left")),
            Some(why) => {
                cx.events.warn(format!("{name}, which a restore that was killed had left, cannot be dropped: {why}"))
            }
        }
    }
    let jobs = cx.workspace.config.backup.jobs.max(1);
    match restore::run(source.archive, &new.database, jobs, &cx.cancel).await {
        Ok(()) => Ok(new),
        Err(error) => Err(discarded(new, error).await),
    }
}

/// What is half there must not be mistaken for a database. The first error is the one to tell: what could not be
/// removed goes with the next restore.
async fn discarded(new: Beside, error: Error) -> Error {
    let _ = new.discard().await;
    error
}

/// Compares, and gives it the settings that the backup knows of if it is to have them. Gives those that it could not
/// be given.
async fn compare_and_set(
    cx: &Context,
    manifest: &Manifest,
    database: &Target,
    settings_for: Option<&str>,
) -> Result<Vec<String>> {
    let mut session = Session::connect(database, "restore", &cx.cancel).await?;
    restore::prove(&mut session, manifest, cx.workspace.config.backup.jobs.max(1)).await?;
    let mut refused = Vec::new();
    if let Some(name) = settings_for {
        // What the role has set for itself goes for it here as well; the rest was the original's own.
        let there = catalog::settings(&mut session).await?;
        let of_original = manifest.surroundings.settings.iter();
        let missing: Vec<_> = of_original.filter(|setting| !there.contains(setting)).cloned().collect();
        refused = settings::apply(&mut session, name, &missing).await?;
    }
    session.close().await;
    let told = |setting| format!("the new database was not given the original's setting {setting}");
    Ok(refused.into_iter().map(told).collect())
}

/// Owner, rights, connection limit and settings of the target's database.
async fn hand_over(cx: &Context, target: &Target, new: &Target) -> Result<Vec<String>> {
    let mut session = databases::connect_beside(target, "restore", &cx.cancel).await?;
    let wanted = databases::hand_over(&mut session, target.database(), new.database()).await?;
    for statement in wanted.rights {
        match session.execute(&statement).await {
            Ok(_) => {}
            Err(Stopped::Failed(error)) => {
                let reason = server_words(&error);
                let database = target.database().to_owned();
                return Err(RestoreError::HandOver { database, statement, reason }.into());
            }
            Err(stopped) => return Err(Stopped::doing("give the restored database its owner")(stopped)),
        }
    }
    let mut refused = Vec::new();
    for statement in wanted.settings {
        match session.execute(&statement).await {
            Ok(_) => {}
            Err(Stopped::Failed(error)) => {
                refused.push(format!("not set as before: {statement} ({})", server_words(&error)));
            }
            Err(stopped) => return Err(Stopped::doing("give the restored database its settings")(stopped)),
        }
    }
    session.close().await;
    Ok(refused)
}

/// What would stop the change of names is told before anything is restored.
fn may_give_way(old: &Described, place: &str, target: &Target) -> Result<()> {
    let database = place.to_owned();
    if !old.may_be_renamed {
        let role = target.user().to_owned();
        if !old.may_create {
            return Err(RestoreError::MayNotCreate { role }.into());
        }
        return Err(RestoreError::MayNotRename { database, owner: old.owner.clone(), role }.into());
    }
    let prepared = old.prepared.iter().map(|gid| format!("prepared transaction {gid}"));
    let what: Vec<String> = prepared.chain(old.bound.iter().cloned()).collect();
    if what.is_empty() { Ok(()) } else { Err(RestoreError::Bound { database, what }.into()) }
}

/// A database that is there is filled only if nobody and nothing is in it.
async fn must_be_free(outside: &mut Session, into: &Target, cx: &Context) -> Result<()> {
    let clients = databases::clients(outside, into.database()).await?;
    let mut session = Session::connect(into, "restore", &cx.cancel).await?;
    let objects = databases::objects(&mut session).await?;
    session.close().await;
    if clients == 0 && objects == 0 {
        return Ok(());
    }
    Err(BackupError::Occupied { database: into.database().into() }.into())
}
