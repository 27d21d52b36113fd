//! A backup is restored into a sandbox and compared with the dump's own bytes, and with what the source's
//! catalogs said in the same snapshot.

use std::path::Path;

use chrono::Utc;

use super::inside::Inside;
use super::manifest::DUMP_FOLDER;
use super::source::Source;
use super::trial::{self, NOT_COMPARED, NOT_IN_A_SANDBOX, Restored};
use super::verdict::{Proof, ProofLevel};
use super::{compared, large_objects, objects, pg_dump};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{EventKind, Progress};
use crate::postgres::catalog;
use crate::postgres::contents::{self, Fingerprint};
use crate::postgres::query::Stopped;
use crate::postgres::schema::Schema;
use crate::postgres::sequences::{self, Positions, Sequences};
use crate::postgres::session::Session;
use crate::postgres::side_by_side;
use crate::postgres::tools::{Invocation, Tools};
use crate::providers::Sandbox;
use crate::target::Target;

/// The database in the sandbox that a backup is restored into to be proven.
pub const PROOF_DATABASE: &str = "rehearsal_proof";

/// Starts the server that a backup is proven in, if none runs yet.
pub(super) async fn sandbox(cx: &mut Context, tools: &Tools, bytes: u64) -> Result<()> {
    cx.sandbox(Some(tools.version().major), Some(bytes)).await.map(drop)
}

/// What is wrong with a dump before it is restored: it lacks what the source has.
pub(super) fn missing(source: &Source, inside: &Inside) -> Vec<String> {
    let held = |table| inside.tables.contains_key(table);
    let tables = source.tables.keys().filter(|table| !held(*table)).map(|table| format!("{table} is not in the dump"));
    let mut missing: Vec<String> = tables.collect();
    missing.extend(behind(&source.sequences, &inside.listed.sequences));
    let (listed, found) = (source.large_objects.count, inside.large_objects.count);
    if listed != found {
        missing.push(format!("{listed} large objects, and {found} in the dump"));
    }
    missing
}

/// The source's sequences were read before the dump: whoever writes meanwhile moves them on.
fn behind(source: &Sequences, dumped: &Positions) -> Vec<String> {
    source
        .iter()
        .filter_map(|(name, sequence)| match dumped.get(name) {
            None => Some(format!("the sequence {name} is not in the dump")),
            Some(position) if !sequence.reaches(*position) => {
                Some(format!("the sequence {name} stood at {} and is dumped at {position}", sequence.position))
            }
            Some(_) => None,
        })
        .collect()
}

/// Proves the dump in `folder`. The restored database stays in the sandbox, for a rehearsal to go on
/// with, until the next proof.
///
/// # Errors
/// [`Error::Interrupted`] only: whatever else stands in the way is an outcome.
pub(super) async fn prove(
    cx: &Context,
    tools: &Tools,
    folder: &Path,
    source: &Source,
    inside: &Inside,
    level: ProofLevel,
) -> Result<Proof> {
    let Some(sandbox) = cx.running_sandbox() else { return Ok(Proof::missing(level, "no sandbox runs".into())) };
    let proving = Proving { cx, tools, source, inside, level, sandbox };
    let mut proof = match proving.compare(&folder.join(DUMP_FOLDER)).await {
        Ok(differences) => Proof::of(level, differences, proving.compared()),
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(error) => Proof::missing(level, error.to_string()),
    };
    proof.restored_into = Some(sandbox.version());
    proof.provider = Some(sandbox.provider().into());
    proof.at = Utc::now();
    Ok(proof)
}

struct Proving<'a> {
    cx: &'a Context,
    tools: &'a Tools,
    source: &'a Source,
    inside: &'a Inside,
    level: ProofLevel,
    sandbox: &'a Sandbox,
}

impl Proving<'_> {
    /// For people, and for whoever reads the manifest in ten years.
    fn compared(&self) -> String {
        let contents = match self.level {
            ProofLevel::Full => "rows and contents of every table, large objects",
            ProofLevel::Counts | ProofLevel::None => "rows of every table, how many large objects",
        };
        format!("schema object by object with owners and grants, {contents}, sequences, extensions; not {NOT_COMPARED}")
    }

    async fn compare(&self, dump: &Path) -> Result<Vec<String>> {
        let Self { cx, tools, source, inside, sandbox, .. } = self;
        sandbox.drop_database(PROOF_DATABASE, &cx.cancel).await?;
        sandbox.create_roles(&source.surroundings.roles, &cx.cancel).await?;
        let copy = sandbox.create_database(PROOF_DATABASE, Some(&source.encoding), &cx.cancel).await?;
        self.tell("restore", "tables", 0, None);
        let restored = trial::restore(cx, tools, dump, &copy, &inside.listed.schema, &source.strays).await?;
        if let Restored::Refused(why) = restored {
            return Ok(vec![why]);
        }
        let mut session = Session::connect(&copy, "proof", &cx.cancel).await?;
        let mut differences = self.tables(&mut session).await?;
        let found = sequences::read(&mut session, None).await?;
        differences.extend(sequences::misplaced(inside.listed.sequences.iter(), &found));
        differences.extend(self.large_objects(&mut session).await?);
        differences.extend(self.extensions(&mut session).await?);
        session.close().await;
        differences.extend(self.schema(&copy).await?);
        Ok(differences)
    }

    async fn tables(&self, session: &mut Session) -> Result<Vec<String>> {
        let Source { tables, .. } = self.source;
        let total = tables.len() as u64;
        let told = |done| self.tell("compare", "tables", done, Some(total));
        session.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare the comparison"))?;
        let jobs = self.cx.workspace.config.backup.jobs.max(1);
        let found = if self.level == ProofLevel::Full {
            side_by_side::read(session, tables, jobs, "proof", told).await?
        } else {
            let counted = |(table, rows)| (table, Fingerprint { rows, sum: 0 });
            contents::count_each(session, tables, told).await?.into_iter().map(counted).collect()
        };
        let dumped = self.inside.tables.iter().map(|(table, held)| (table, held.fingerprint));
        Ok(compared::tables(dumped, &found, self.level))
    }

    async fn large_objects(&self, session: &mut Session) -> Result<Vec<String>> {
        let (expected, listed) = (self.inside.large_objects, &self.source.large_objects);
        let found = large_objects::list(session).await?;
        let mut differences = Vec::new();
        if found.count != expected.count {
            differences.push(format!("{} large objects dumped, {} restored", expected.count, found.count));
        } else if found.rights != listed.rights {
            differences.push("owners or grants of large objects are not the same in the restored copy".into());
        }
        if self.level == ProofLevel::Full && expected.count > 0 && large_objects::read(session).await? != expected {
            differences.push(format!("{} large objects, but not with the same contents", expected.count));
        }
        Ok(differences)
    }

    /// A dump names an extension without its version: it gets the one that the server has.
    async fn extensions(&self, session: &mut Session) -> Result<Vec<String>> {
        let found = catalog::extensions(session).await?;
        let name = |extension: &str| extension.split(' ').next().unwrap_or_default().to_owned();
        let mut differences = Vec::new();
        for extension in self.source.extensions.iter().filter(|extension| !found.contains(extension)) {
            match found.iter().find(|other| name(other) == name(extension)) {
                Some(other) => self
                    .cx
                    .events
                    .warn(format!("the copy was proven with extension {other}, and the database has {extension}")),
                None => differences.push(format!("extension {extension} is not in the restored copy")),
            }
        }
        Ok(differences)
    }

    async fn schema(&self, copy: &Target) -> Result<Vec<String>> {
        let encoding = pg_dump::encoding(&self.source.encoding);
        let mut arguments = vec!["--schema-only".to_owned(), encoding, "--no-password".to_owned()];
        arguments.extend(NOT_IN_A_SANDBOX.iter().map(|&argument| argument.to_owned()));
        let invocation = Invocation {
            program: "pg_dump",
            arguments: &arguments,
            target: copy,
            purpose: "schema",
            folder: None,
            list: None,
        };
        let output = self.tools.run(&invocation, &self.cx.cancel).await?;
        let found = objects::compare(&self.inside.listed.schema, &Schema::parse(&trial::text(output)));
        for text in found.worth_a_look {
            self.cx.events.warn(text);
        }
        Ok(found.wrong)
    }

    fn tell(&self, what: &str, unit: &str, done: u64, total: Option<u64>) {
        self.cx.events.emit(EventKind::Progress(Progress {
            unit: unit.into(),
            done,
            total,
            what: what.into(),
            per_second: None,
            left_ms: None,
        }));
    }
}
