//! Every event as a line of JSON.
//!
//! Written by way of a [`serde_json::Value`]: its text is made by serde_json's own code, which is optimised in the
//! development build that `cargo xtask` is. That of a struct is made by ours, letter by letter, for a third of a
//! small migration's time.

use std::io::{self, Write};

use crate::event::{Event, Reporter};

/// Writes JSON Lines.
pub struct Json<W>(pub W);

impl<W: Write + Send> Reporter for Json<W> {
    fn report(&mut self, event: &Event) -> io::Result<()> {
        writeln!(self.0, "{}", serde_json::to_value(event)?)?;
        self.0.flush()
    }
}
