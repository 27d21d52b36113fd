//! The rows of a table's file: COPY's lines without what pg_dump puts behind them.

use super::pack::Held;
use crate::postgres::contents::Lines;

/// What COPY writes after the last row.
const END_OF_DATA: &[u8] = b"\\.\n";

/// What pg_dump writes after that.
const END_OF_FILE: &[u8] = b"\n\n";

/// The end marker may be cut by a chunk: as many bytes as it may take are held back.
const HELD_BACK: usize = END_OF_DATA.len() + END_OF_FILE.len();

/// See the module.
#[derive(Default)]
pub(super) struct Rows {
    lines: Lines,
    bytes: u64,
    held: Vec<u8>,
}

impl Rows {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let (pass, hold) = bytes.split_at(bytes.len().saturating_sub(HELD_BACK));
        if !pass.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.give(&held);
            self.give(pass);
        }
        self.held.extend_from_slice(hold);
        let more = self.held.len().saturating_sub(HELD_BACK);
        let early: Vec<u8> = self.held.drain(..more).collect();
        self.give(&early);
    }

    fn give(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.lines.feed(bytes);
    }

    /// Whether what has come ends with the mark, on a line of its own: a row that says so has another backslash.
    pub(super) fn at_end(&self) -> bool {
        let is_mark = self.held.strip_suffix(END_OF_FILE) == Some(END_OF_DATA);
        is_mark && self.lines.at_line_start()
    }

    /// What has come.
    pub(super) fn end(mut self) -> Held {
        let held = std::mem::take(&mut self.held);
        let rest = held.strip_suffix(END_OF_FILE).unwrap_or(&held);
        self.give(rest.strip_suffix(END_OF_DATA).unwrap_or(rest));
        Held { fingerprint: self.lines.fingerprint, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_marker_is_no_row() {
        for (text, rows, bytes) in [
            ("a\tb\nc\td\n\\.\n\n\n", 2, 8),
            ("\\.\n\n\n", 0, 0),
            ("\n\\.\n\n\n", 1, 1),
            ("x\n\n\\.\n\n\n", 2, 3),
            ("a\nb\nlonger than that\n\\.\n\n\n", 3, 21),
        ] {
            for cut in 0..text.len() {
                let mut read = Rows::default();
                read.feed(&text.as_bytes()[..cut]);
                read.feed(&text.as_bytes()[cut..]);
                let held = read.end();
                assert_eq!((held.fingerprint.rows, held.bytes), (rows, bytes), "{text:?} cut at {cut}");
            }
        }
    }
}
