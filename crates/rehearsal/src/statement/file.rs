//! A file as it is planned, and where its bytes stand.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one::Statement;
use crate::apply::OwnLimits;
use crate::source::without_mark;

/// How a file is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// All statements and the history row in one transaction.
    OneTransaction,
    /// Statement by statement, each with its journal row.
    Stepwise,
}

/// A file ready to be planned.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Where it stands.
    pub path: PathBuf,
    /// Its text, to find a line again.
    pub text: String,
    /// Its statements, in order.
    pub statements: Vec<Statement>,
    /// How it is run.
    pub mode: Mode,
    /// The parser's first complaint, if the file is to be sent whole because of it.
    pub unparsed: Option<String>,
    /// The limits that its head sets.
    pub limits: OwnLimits,
    /// What its author should know, with the line.
    pub notes: Vec<String>,
}

impl Parsed {
    /// Line and column, both from 1, of a byte of the file.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = without_mark(&self.text[..floor_char_boundary(&self.text, offset)]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The line that holds a byte of the file, without its end.
    #[must_use]
    pub fn line_at(&self, offset: usize) -> &str {
        let at = floor_char_boundary(&self.text, offset);
        let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let rest = &self.text[start..];
        let line = rest.split('\n').next().unwrap_or(rest);
        without_mark(line.strip_suffix('\r').unwrap_or(line))
    }
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
