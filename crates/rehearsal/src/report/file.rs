//! The record, its summary and the report of a rehearsal, written to files when the run has ended.

use std::io;
use std::path::PathBuf;

use super::html::page;
use super::markdown::page as markdown;
use crate::event::{Event, EventKind, Reporter};
use crate::record::{REHEARSE, Record};
use crate::store::{write_soon, write_whole};

/// Writes `RUN_ID.json` and `RUN_ID.md` into a folder, and `RUN_ID.html` of a rehearsal.
pub struct RecordFile {
    folder: PathBuf,
    record: Option<Record>,
}

impl RecordFile {
    /// Writes into that folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, record: None }
    }

    fn write(&self) -> io::Result<()> {
        let Some(record) = &self.record else { return Ok(()) };
        // By way of a value, as `json` explains.
        let json = format!("{:#}", serde_json::to_value(record)?);
        let path = |extension: &str| self.folder.join(format!("{}.{extension}", record.run.run_id));
        // The record is the evidence of what was done; its summary can be made again from it.
        let write_record = if record.is_evidence() { write_whole } else { write_soon };
        write_record(&path("json"), json.as_bytes()).map_err(io::Error::other)?;
        let earlier = record.rehearsal_before(&self.folder);
        let summary = markdown::render(record, earlier.as_ref(), markdown::COMMENT);
        write_soon(&path("md"), summary.as_bytes()).map_err(io::Error::other)?;
        // People decide by the page of a rehearsal: it is there without being asked for.
        if record.run.command == REHEARSE {
            write_soon(&path("html"), page::render(record)?.as_bytes()).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Reporter for RecordFile {
    fn report(&mut self, event: &Event) -> io::Result<()> {
        Record::fold(&mut self.record, event);
        match event.kind {
            EventKind::RunFinished(_) => self.write(),
            _ => Ok(()),
        }
    }
}
