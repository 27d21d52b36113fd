//! The summary of a job: a run's Markdown, appended to the file that GitHub shows on the job's page.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::event::{Event, EventKind, Reporter};
use crate::record::Record;
use crate::report::markdown::page;

/// What GitHub takes of one step; of a file that is larger it shows nothing, and says so nowhere but in the log.
const LARGEST: u64 = 1 << 20;

/// Left free for what others append behind us.
const SPARE: u64 = 16 << 10;

/// Appends the summary when the run has ended.
pub struct Summary {
    file: PathBuf,
    records: PathBuf,
    record: Option<Record>,
}

impl Summary {
    /// Appends to `file` (`$GITHUB_STEP_SUMMARY`); earlier rehearsals are looked for in the folder `records`.
    #[must_use]
    pub fn new(file: PathBuf, records: PathBuf) -> Self {
        Self { file, records, record: None }
    }

    fn append(&self) -> io::Result<()> {
        let Some(record) = &self.record else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        let left = LARGEST.saturating_sub(SPARE).saturating_sub(file.metadata()?.len());
        let earlier = record.rehearsal_before(&self.records);
        let text = page::render(record, earlier.as_ref(), usize::try_from(left).unwrap_or(usize::MAX));
        writeln!(file, "{text}")
    }
}

impl Reporter for Summary {
    fn report(&mut self, event: &Event) -> io::Result<()> {
        Record::fold(&mut self.record, event);
        match event.kind {
            EventKind::RunFinished(_) => self.append(),
            _ => Ok(()),
        }
    }
}
