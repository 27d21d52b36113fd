//! A database's contents give way to a backup's, where it can neither be renamed nor another one made.
//!
//! All of it is one transaction of ours: the tables are locked, and must hold what the copy holds that was made of them a
//! moment ago; then everything goes, the dump's statements and rows come, and are compared. Whatever stops it, what
//! was there is there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::codec::Codec;
use super::compared;
use super::failure::BackupError;
use super::files::{self, CHUNK};
use super::large_objects;
use super::manifest::Manifest;
use super::objects;
use super::refusal::RestoreError;
use super::selection::{self, Entry};
use crate::error::{Error, Result};
use crate::postgres::archive::Archive;
use crate::postgres::contents::{self, TableName};
use crate::postgres::databases::{self, Described};
use crate::postgres::emptied;
use crate::postgres::identifier::{qualified, quote};
use crate::postgres::query::Stopped;
use crate::postgres::schema::Schema;
use crate::postgres::sequences;
use crate::postgres::session::Session;
use crate::postgres::tools::Tools;

/// What COPY writes behind the last row.
const END_OF_DATA: &[u8] = b"\\.\n";

/// The encodings in which a dump's text is what we send.
const AS_WE_SPEAK: &[&str] = &["UTF8", "SQL_ASCII"];

/// What opens the transaction. Who has a table open is not waited for: nobody is to be there.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 0";

/// Refuses what is better swapped, and a database that somebody is in.
///
/// # Errors
/// [`RestoreError::MayBeSwapped`], [`RestoreError::Bound`], [`RestoreError::NotInPlace`], [`RestoreError::InUse`];
/// the server's.
pub async fn may_begin(session: &mut Session) -> Result<()> {
    let database = session.target().database().to_owned();
    let Some(there) = databases::describe(session, &database).await? else {
        return Err(RestoreError::NothingToReplace { database }.into());
    };
    let Described { may_be_renamed, bound, prepared, .. } = there;
    if may_be_renamed && bound.is_empty() {
        return Err(RestoreError::MayBeSwapped { database }.into());
    }
    if !prepared.is_empty() {
        let what = prepared.iter().map(|gid| format!("prepared transaction {gid}")).collect();
        return Err(RestoreError::Bound { database, what }.into());
    }
    if large_objects::list(session).await?.count > 0 {
        let what = "there are large objects in it".into();
        return Err(RestoreError::NotInPlace { database, what }.into());
    }
    match databases::clients(session, &database).await? {
        0 => Ok(()),
        clients => Err(RestoreError::InUse { database, clients }.into()),
    }
}

/// Refuses a backup that cannot be put in place.
///
/// # Errors
/// [`RestoreError::NotInPlace`].
pub fn may_take(manifest: &Manifest, database: &str) -> Result<(), RestoreError> {
    let what = if !AS_WE_SPEAK.contains(&manifest.encoding.as_str()) {
        format!("the backup is of the encoding {}", manifest.encoding)
    } else if manifest.large_objects.is_some_and(|objects| objects.count > 0) {
        "there are large objects in the backup".into()
    } else {
        return Ok(());
    };
    Err(RestoreError::NotInPlace { database: database.into(), what })
}

/// What is needed.
pub struct Replacing<'a> {
    /// The backup.
    pub manifest: &'a Manifest,
    /// What there is a moment ago.
    pub copy: &'a Manifest,
    /// The backup's dump.
    pub dump: &'a Path,
    /// Programs that fit the server.
    pub tools: &'a Tools,
    /// A folder for what is thrown away.
    pub scratch: &'a Path,
}

/// What the dump says, in the order in which it is sent.
struct Scripts {
    before_rows: String,
    positions: String,
    after_rows: String,
    /// Of all tables with rows, the number of the file.
    rows: Vec<(TableName, u64)>,
}

impl Replacing<'_> {
    /// Does it. `session` holds the run's lock. Gives what is to be looked at: what of the schema is not as in the backup.
    ///
    /// # Errors
    /// [`RestoreError::NotInPlace`], [`RestoreError::WrittenMeanwhile`], [`super::BackupError::Wrong`], the server's. Then all
    /// is as it was.
    pub async fn run(&self, session: &mut Session, cancel: &CancellationToken) -> Result<Vec<String>> {
        may_take(self.manifest, session.target().database())?;
        let scripts = self.scripts(session, cancel).await?;
        let done = self.replace(session, &scripts).await;
        if done.is_err() {
            // Where even this fails, the server has ended the session, and the transaction with it.
            let _ = session.execute("ROLLBACK").await;
        }
        done?;
        session.execute("ANALYZE").await.map_err(Stopped::doing("analyse the restored tables"))?;
        self.schema(session, cancel).await
    }

    async fn scripts(&self, session: &mut Session, cancel: &CancellationToken) -> Result<Scripts> {
        let target = session.target().clone();
        let whole = Archive { tools: self.tools, dump: self.dump, entries: None };
        let list = whole.list(&target, cancel).await?;
        let stays = emptied::stays(session).await?;
        let kept = |entry: &Entry<'_>| {
            stays.extensions.iter().any(|name| {
                entry.is("EXTENSION", &format!("- {name}")) || entry.is("COMMENT", &format!("- EXTENSION {name}"))
            }) || stays.schemas.iter().any(|name| entry.is("SCHEMA", &format!("- {name}")))
                // It copies from elsewhere, and belongs to the database and not to what is in it.
                || entry.is("SUBSCRIPTION", "-")
        };
        let entries = selection::entries(&list);
        let written = |name: &str, wanted: &dyn Fn(&Entry<'_>) -> bool| {
            let lines = entries.iter().filter(|(_, entry)| wanted(entry)).flat_map(|(_, entry)| [entry.line, "\n"]);
            let path = self.scratch.join(name);
            std::fs::write(&path, lines.collect::<String>()).map_err(Error::io("write", &path)).map(|()| path)
        };
        let is_position = |entry: &Entry<'_>| entry.line.contains(" SEQUENCE SET ");
        let has_positions = entries.iter().any(|(_, entry)| is_position(entry));
        let script = async |entries, arguments: &[&str]| {
            let archive = Archive { entries: Some(entries), ..whole.clone() };
            archive.script(arguments, &target, cancel).await.map(|text| without_commands(&text))
        };
        let all = written("entries", &|entry| !kept(entry))?;
        let positions = written("positions", &is_position)?;
        let rows = files::data_files_by_name(&list, self.manifest.tables.iter().map(|table| &table.name));
        Ok(Scripts {
            before_rows: script(all.clone(), &["--section=pre-data"]).await?,
            positions: if has_positions { script(positions, &[]).await? } else { String::new() },
            after_rows: script(all, &["--section=post-data"]).await?,
            rows: rows.into_iter().collect(),
        })
    }

    async fn replace(&self, session: &mut Session, scripts: &Scripts) -> Result<()> {
        let doing = |what: &str| Stopped::doing(format!("{what} (nothing is changed)"));
        session.execute(BEGIN).await.map_err(doing("begin"))?;
        let there = contents::all_tables(session).await?;
        let names: Vec<String> = there.keys().map(|table| qualified(&table.schema, &table.name)).collect();
        if !names.is_empty() {
            let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
            session.execute(&lock).await.map_err(doing("lock the tables"))?;
        }
        self.must_be_as_copied(session).await?;
        let removal = emptied::statements(session).await?.join("; ");
        session.execute(&removal).await.map_err(doing("remove what is there"))?;
        session.execute(&scripts.before_rows).await.map_err(doing("make what the backup has"))?;
        let columns = contents::all_tables(session).await?;
        for (table, number) in &scripts.rows {
            let Some(columns) = columns.get(table) else { continue };
            self.fill(session, table, columns, *number).await?;
        }
        session.execute(&scripts.positions).await.map_err(doing("set the sequences"))?;
        session.execute(&scripts.after_rows).await.map_err(doing("make indexes and keys"))?;
        let columns = contents::all_tables(session).await?;
        let found = contents::read_within(session, &columns).await?;
        let mut differences = compared::with_tables(&self.manifest.tables, &found);
        let positions = self.manifest.sequences.iter().map(|entry| (&entry.name, &entry.position));
        differences.extend(sequences::misplaced(positions, &sequences::read(session, None).await?));
        if !differences.is_empty() {
            return Err(BackupError::Wrong { differences }.into());
        }
        session.execute("COMMIT").await.map(drop).map_err(Stopped::doing("commit what was restored"))
    }

    /// Nobody can write any more: what is there now is in the copy, or it would be lost.
    async fn must_be_as_copied(&self, session: &mut Session) -> Result<()> {
        let there = contents::all_tables(session).await?;
        let found = contents::read_within(session, &there).await?;
        let mut differences = compared::with_tables(&self.copy.tables, &found);
        let new = found.keys().filter(|name| !self.copy.tables.iter().any(|table| table.name == **name));
        differences.extend(new.map(|name| format!("{name} is new")));
        if differences.is_empty() {
            return Ok(());
        }
        let database = session.target().database().to_owned();
        Err(RestoreError::WrittenMeanwhile { database, differences }.into())
    }

    async fn fill(&self, session: &mut Session, table: &TableName, columns: &[String], number: u64) -> Result<()> {
        let path = [".gz", ".zst", ""].map(|end| self.dump.join(format!("{number}.dat{end}")));
        let path = path.iter().find(|path| path.is_file()).unwrap_or(&path[2]);
        let open = || -> std::io::Result<Box<dyn Read + Send>> {
            let file = File::open(path)?;
            match path.to_str().and_then(Codec::of) {
                Some((codec, _)) => codec.reader(file),
                None => Ok(Box::new(file)),
            }
        };
        let mut rows = BufReader::with_capacity(CHUNK, open().map_err(Error::io("read", path))?);
        let list: Vec<String> = columns.iter().map(|column| quote(column)).collect();
        let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
        let copy = format!("COPY {}{list} FROM STDIN", qualified(&table.schema, &table.name));
        let mut at_end = false;
        let next = |buffer: &mut Vec<u8>| {
            while !at_end && buffer.len() < CHUNK {
                let from = buffer.len();
                at_end = rows.read_until(b'\n', buffer)? == 0;
                if &buffer[from..] == END_OF_DATA {
                    buffer.truncate(from);
                    at_end = true;
                }
            }
            Ok(())
        };
        let doing = Stopped::doing(format!("restore the rows of {table} (nothing is changed)"));
        session.copy_in(&copy, next).await.map_err(doing)
    }

    /// What the schema has that the backup's has not, or otherwise.
    async fn schema(&self, session: &mut Session, cancel: &CancellationToken) -> Result<Vec<String>> {
        let target = session.target();
        let archive = Archive { tools: self.tools, dump: self.dump, entries: None };
        let wanted = Schema::parse(&archive.script(&["--schema-only"], target, cancel).await?);
        // pg_restore counts a materialized view's REFRESH as schema, pg_dump does not.
        let wanted = wanted.of(|object| !object.contains("; Type: MATERIALIZED VIEW DATA; "));
        let found = objects::compare(&wanted, &Schema::read_all(self.tools, target, cancel).await?);
        Ok(found.wrong.into_iter().chain(found.worth_a_look).collect())
    }
}

/// Without the commands of psql that stand in a script since 15.14.
fn without_commands(script: &str) -> String {
    let lines = script.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.flat_map(|line| [line, "\n"]).collect()
}
