//! Every event as a line of JSON.

use std::io::{self, Write};

use crate::event::{Event, Reporter};

/// Writes JSON Lines.
pub struct Json<W>(pub W);

impl<W: Write + Send> Reporter for Json<W> {
    fn report(&mut self, event: &Event) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, event)?;
        self.0.write_all(b"\n")?;
        self.0.flush()
    }
}
