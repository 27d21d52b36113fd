//! What of a file is sent in one message: a statement, or many rows of a table.

use crate::statement::{Parsed, Statement, summary};

/// From how many statements on a file's rows are sent and told together. Below it a round trip for each
/// costs less than a tenth of a second, and each is told with its own time.
const MANY: usize = 1_000;

/// How much is sent in one message, in bytes, if it is more than one statement.
const MESSAGE: usize = 1 << 20;

/// Statements that are sent in one message.
#[derive(Debug, Clone, Copy)]
pub struct Together<'a> {
    /// One, or INSERTs that follow each other.
    pub statements: &'a [Statement],
    /// What is sent: a part of the file.
    pub sql: &'a str,
}

impl Together<'_> {
    /// Their first words, and how many they are.
    #[must_use]
    pub fn summary(&self, most: usize) -> String {
        let first = self.statements.first().map_or_else(String::new, |first| summary(&first.sql, most));
        match self.statements.len() {
            0 | 1 => first,
            more => format!("{first} and {} more", more - 1),
        }
    }
}

impl Parsed {
    /// All statements, as they are sent in one transaction: each by itself, but for the rows of a file that
    /// holds a table's whole contents.
    pub fn together(&self) -> impl Iterator<Item = Together<'_>> {
        let many = self.statements.len() > MANY;
        let fit = move |first: &Statement, next: &Statement| {
            let size = next.offset + next.sql.len() - first.offset;
            many && size <= MESSAGE && first.is_insert() && next.is_insert()
        };
        let mut rest = self.statements.as_slice();
        std::iter::from_fn(move || {
            let first = rest.first()?;
            let count = 1 + rest[1..].iter().take_while(|next| fit(first, next)).count();
            let (statements, others) = rest.split_at(count);
            rest = others;
            let last = statements.last()?;
            let sql = if count == 1 { &first.sql } else { &self.text[first.offset..last.offset + last.sql.len()] };
            Some(Together { statements, sql })
        })
    }
}
