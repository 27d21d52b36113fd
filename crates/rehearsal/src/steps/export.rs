//! Writes tables as files that other programs read.

use async_trait::async_trait;

use super::step::{Step, StepReport};
use crate::backup::export::{self, Wanted};
use crate::context::Context;
use crate::error::Result;
use crate::event::EventKind;
use crate::report::format::{bytes, path, plural};

/// See the module.
pub struct Export {
    /// What is wanted.
    pub wanted: Wanted,
}

#[async_trait]
impl Step for Export {
    fn name(&self) -> &'static str {
        "export"
    }

    fn title(&self) -> &'static str {
        "write tables as files"
    }

    async fn run(&self, cx: &mut Context) -> Result<StepReport> {
        let (folder, export) = export::make(cx, &self.wanted).await?;
        for table in &export.tables {
            let value = format!("{}, {}", plural(table.rows, "row"), bytes(table.file.bytes));
            cx.events.emit(EventKind::Figure { name: table.name.to_string(), value });
        }
        Ok(StepReport::done(format!(
            "{} in {}, {} as {}: {}",
            plural(export.rows(), "row"),
            plural(export.tables.len() as u64, "table"),
            bytes(export.bytes()),
            export.rows_as.as_str(),
            path(&folder)
        )))
    }
}
