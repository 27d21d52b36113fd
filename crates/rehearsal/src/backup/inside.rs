//! What a dump holds, by its own bytes and its own table of contents. The source is not asked again.

use std::collections::BTreeMap;
use std::path::Path;

use super::files;
use super::manifest::{DUMP_FOLDER, LargeObjects};
use super::pack::{Data, Held};
use super::source::Source;
use super::trial::{NOT_IN_A_SANDBOX, from_archive};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::postgres::contents::TableName;
use crate::postgres::schema::Schema;
use crate::postgres::sequences::{self, Positions};
use crate::postgres::tools::Tools;

/// Which entries of the dump set sequences; written only for as long as they are read.
const ENTRIES_FILE: &str = "sequences.list";

/// See the module.
pub(super) struct Inside {
    pub(super) tables: BTreeMap<TableName, Held>,
    pub(super) large_objects: LargeObjects,
    pub(super) listed: Listed,
}

/// What its table of contents says.
pub(super) struct Listed {
    /// Which file holds which table.
    files: BTreeMap<u64, TableName>,
    pub(super) sequences: Positions,
    /// As pg_restore would write it, ownership and grants included, without what a sandbox cannot have.
    pub(super) schema: Schema,
}

impl Inside {
    /// A table whose file is not there is in no dump.
    pub(super) fn new(listed: Listed, data: &Data) -> Self {
        let mut tables: BTreeMap<TableName, Held> = BTreeMap::new();
        for (file, table) in &listed.files {
            if let Some(held) = data.tables.get(file) {
                tables.entry(table.clone()).or_default().join(*held);
            }
        }
        Self { tables, large_objects: data.large_objects, listed }
    }
}

/// Reads the table of contents of a dump whose pg_dump has ended.
///
/// # Errors
/// The file system's, or pg_restore's complaint.
pub(super) async fn list(cx: &Context, tools: &Tools, folder: &Path, source: &Source) -> Result<Listed> {
    let dump = folder.join(DUMP_FOLDER);
    let only_schema: Vec<String> =
        ["--schema-only", "--file=-"].iter().chain(NOT_IN_A_SANDBOX).map(|&argument| argument.to_owned()).collect();
    let schema = from_archive(cx, tools, &dump, &only_schema);
    let others = async {
        let listing = from_archive(cx, tools, &dump, &["--list".to_owned()]).await?;
        let sequences = positions(cx, tools, folder, &listing).await?;
        Ok((files::data_files(&listing, &source.units), sequences))
    };
    let (schema, (files, sequences)) = tokio::try_join!(schema, others)?;
    // pg_restore counts a materialized view's REFRESH as schema, pg_dump does not.
    let schema = Schema::parse(&schema).of(|object| !object.contains("; Type: MATERIALIZED VIEW DATA; "));
    Ok(Listed { files, sequences, schema })
}

/// Where the dump sets the sequences: its own entries, without the data around them.
async fn positions(cx: &Context, tools: &Tools, folder: &Path, listing: &str) -> Result<Positions> {
    let entries: String = listing
        .lines()
        .filter(|line| !line.starts_with(';') && line.contains(" SEQUENCE SET "))
        .flat_map(|line| [line, "\n"])
        .collect();
    if entries.is_empty() {
        return Ok(Positions::new());
    }
    let file = folder.join(ENTRIES_FILE);
    std::fs::write(&file, entries).map_err(Error::io("write", &file))?;
    let arguments = ["--file=-".to_owned(), format!("--use-list={}", file.display())];
    let script = from_archive(cx, tools, &folder.join(DUMP_FOLDER), &arguments).await;
    std::fs::remove_file(&file).map_err(Error::io("remove", &file))?;
    Ok(sequences::in_script(&script?))
}
