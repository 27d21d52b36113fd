//! What COPY streams, as the rows of a file: JSON lines or CSV.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// An object a line, with the columns' names (<https://jsonlines.org>).
    #[default]
    Jsonl,
    /// RFC 4180 with a line of names. A NULL is nothing between two commas, an empty text is `""`.
    Csv,
}

impl Format {
    /// The end of a file's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }

    /// The statement that streams a table, whose name is quoted already.
    pub(super) fn copy(self, table: &str) -> String {
        match self {
            // With the star it is the row, also where a column is called as the alias is.
            Self::Jsonl => format!("COPY (SELECT row_to_json(t.*) FROM ONLY {table} AS t) TO STDOUT"),
            Self::Csv => format!("COPY (SELECT * FROM ONLY {table}) TO STDOUT (FORMAT csv, HEADER)"),
        }
    }
}

/// Takes what COPY streams, cut anywhere, and writes the file. Counts rows by what it writes, so that the
/// server's own count can be compared with it.
#[derive(Debug)]
pub(super) struct Rows<W> {
    format: Format,
    out: W,
    digest: Sha256,
    bytes: u64,
    line_ends: u64,
    /// A backslash of COPY's own was the last byte.
    escaped: bool,
    /// An odd number of CSV's quotes has come.
    quoted: bool,
    text: Vec<u8>,
}

/// A file that is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

impl<W: Write> Rows<W> {
    pub(super) fn new(format: Format, out: W) -> Self {
        Self {
            format,
            out,
            digest: Sha256::new(),
            bytes: 0,
            line_ends: 0,
            escaped: false,
            quoted: false,
            text: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self.format {
            Format::Jsonl => {
                self.unescape(chunk);
                let text = std::mem::take(&mut self.text);
                self.write(&text)?;
                self.text = text;
                self.text.clear();
                Ok(())
            }
            Format::Csv => {
                for byte in chunk {
                    match byte {
                        b'"' => self.quoted = !self.quoted,
                        b'\n' if !self.quoted => self.line_ends += 1,
                        _ => {}
                    }
                }
                self.write(chunk)
            }
        }
    }

    /// COPY's text format escapes a backslash by another one, and writes a line end or a tab as `\n`, `\r`
    /// or `\t` (<https://www.postgresql.org/docs/current/sql-copy.html>). In JSON such a character can only
    /// stand between two tokens, where a blank means the same: a `json` value keeps the text it was given.
    fn unescape(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            match (self.escaped, byte) {
                (false, b'\\') => self.escaped = true,
                (true, b'n' | b'r' | b't') => {
                    self.escaped = false;
                    self.text.push(b' ');
                }
                _ => {
                    self.escaped = false;
                    self.line_ends += u64::from(byte == b'\n');
                    self.text.push(byte);
                }
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// What was written so far, and where to.
    pub(super) fn finish(self) -> (Written, W) {
        let names = u64::from(self.format == Format::Csv);
        let written = Written {
            rows: self.line_ends.saturating_sub(names),
            bytes: self.bytes,
            sha256: crate::postgres::schema::hex(&self.digest.finalize()),
        };
        (written, self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(format: Format, chunks: &[&[u8]]) -> (u64, String) {
        let mut rows = Rows::new(format, Vec::new());
        for chunk in chunks {
            rows.feed(chunk).expect("written");
        }
        let (written, text) = rows.finish();
        assert_eq!(written.bytes, text.len() as u64);
        (written.rows, String::from_utf8(text).expect("UTF-8"))
    }

    #[test]
    fn copys_own_escapes_are_undone() {
        let copied = b"{\"a\":\"x\\\\ny\",\"j\":{\\n  \"b\":\\t1}}\n{\"a\":\"\\\\\\\\\"}\n";
        let (rows, text) = written(Format::Jsonl, &[copied]);
        assert_eq!((rows, text.as_str()), (2, "{\"a\":\"x\\ny\",\"j\":{   \"b\": 1}}\n{\"a\":\"\\\\\"}\n"));
    }

    #[test]
    fn a_line_end_inside_of_quotes_is_no_row() {
        assert_eq!(written(Format::Csv, &[b"a,b\n\"x\ny\",\"\"\"\n\"\n,\n"]).0, 2);
        assert_eq!(written(Format::Csv, &[b"a\n"]).0, 0);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[a\\\\nrt\"\n]{0,60}", cut in 0usize..60) {
            let cut = cut.min(text.len());
            let (one, other) = text.as_bytes().split_at(cut);
            for format in [Format::Jsonl, Format::Csv] {
                prop_assert_eq!(written(format, &[one, other]), written(format, &[text.as_bytes()]));
            }
        }
    }
}
