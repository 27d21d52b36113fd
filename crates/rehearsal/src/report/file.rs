//! The record and its summary, written to files when the run has ended.

use std::io;
use std::path::PathBuf;

use super::markdown;
use crate::event::{Event, EventKind, Reporter};
use crate::record::Record;
use crate::store::write_whole;

/// Writes `RUN_ID.json` and `RUN_ID.md` into a folder.
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
        let json = serde_json::to_vec_pretty(record)?;
        let path = |extension: &str| self.folder.join(format!("{}.{extension}", record.run.run_id));
        write_whole(&path("json"), &json).map_err(io::Error::other)?;
        // The record is the evidence; its summary can be made again from it, so it need not be awaited
        // on the disk.
        std::fs::write(path("md"), markdown::render(record))
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
