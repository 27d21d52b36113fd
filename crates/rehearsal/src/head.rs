//! What a file says of itself in the comments above its first statement, and what in it no migration may
//! hold. Both are known before anything of it runs.
//!
//! `-- rehearsal: NAME=VALUE, NAME=VALUE` sets the limits of this one file. To sqlx it is a comment.

use crate::apply::OwnLimits;
use crate::apply::own_limits::OF_A_FILE;
use crate::outline::{self, Found};
use crate::source::{Script, SourceError, without_mark};
use crate::unsupported;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The limits that it sets.
    pub limits: OwnLimits,
    /// What the author should know: each begins with its line.
    pub notes: Vec<String>,
    /// Where its statements end, in bytes.
    pub ends: Vec<usize>,
    savepoint: Option<usize>,
    batch_marker: Option<usize>,
    role: Option<usize>,
    one_transaction: Option<(usize, &'static str, &'static str)>,
    limit: Option<(usize, String)>,
}

impl Head {
    /// Goes through a file.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] for the first thing that cannot be meant, or cannot be run.
    pub fn read(script: &Script) -> Result<Self, SourceError> {
        let mut head = Self::default();
        if without_mark(&script.sql).len() < script.sql.len() {
            head.notes.push("1: a byte order mark, which is left out here; sqlx would stop at it".into());
        }
        outline::walk(&script.sql, |line, found| head.take(line, found).map_err(|refused| refused.at(script, line)))?;
        if let Some((line, limit)) = &head.limit {
            head.notes.push(format!(
                "{line}: it sets {limit}, which is put back at once: the limits of the run hold; {}",
                unsupported::LIMIT_DIRECTIVE
            ));
        }
        Ok(head)
    }

    fn take(&mut self, line: usize, found: Found<'_>) -> Result<(), Refused> {
        match found {
            Found::Directive { text, late: false } => self.directive(text)?,
            Found::Directive { .. } => {
                return Err(Refused::new(
                    "a `-- rehearsal:` comment behind the first statement: it is for the whole file",
                    "put it above the first statement",
                ));
            }
            Found::BatchMarker => self.batch_marker = self.batch_marker.or(Some(line)),
            Found::Command(text) => {
                let (what, instead) = unsupported::command(text);
                return Err(Refused::new(what, instead));
            }
            Found::Statement(statement) => {
                if let Some((what, instead)) = unsupported::objection(&statement) {
                    return Err(Refused::new(what, instead));
                }
                if unsupported::is_savepoint(&statement) {
                    self.savepoint = self.savepoint.or(Some(line));
                }
                let needs = unsupported::needs_one_transaction(&statement);
                self.one_transaction = self.one_transaction.or(needs.map(|(what, instead)| (line, what, instead)));
                if unsupported::is_role(&statement) {
                    self.role = self.role.or(Some(line));
                }
                if let Some(limit) = unsupported::limit(&statement)
                    && self.limit.is_none()
                {
                    self.limit = Some((line, limit.to_owned()));
                }
                self.ends.push(statement.end);
            }
        }
        Ok(())
    }

    fn directive(&mut self, text: &str) -> Result<(), Refused> {
        let refused = |what: String| {
            let names = OF_A_FILE.join(", ");
            Refused::new(
                what,
                format!("write it as `-- rehearsal: lock_timeout=5s, batch_rows=1000`; a file may set {names}"),
            )
        };
        for setting in text.split(',').map(str::trim) {
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| refused(format!("`{setting}` in a `-- rehearsal:` comment is no NAME=VALUE")))?;
            self.limits.set(name.trim(), value.trim()).map_err(refused)?;
        }
        Ok(())
    }

    /// Whether any of its comments asks for batches.
    pub fn has_batches(&self) -> bool {
        self.batch_marker.is_some()
    }

    /// Refuses what cannot be looked after in a file that is sent whole.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`].
    pub fn refuse_whole(&self, script: &Script, reason: &str) -> Result<(), SourceError> {
        let whole = format!("in a file that is sent whole, as the parser does not understand it ({reason})");
        if let Some((line, limit)) = &self.limit {
            let refused =
                Refused::new(format!("{limit} is set {whole}"), format!("remove it; {}", unsupported::LIMIT_DIRECTIVE));
            return Err(refused.at(script, *line));
        }
        match self.batch_marker {
            Some(line) => {
                let instead = "put the batched statement into a migration of its own";
                Err(Refused::new(format!("a batch marker {whole}"), instead).at(script, line))
            }
            None => Ok(()),
        }
    }

    /// Refuses what only makes sense within one transaction.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`].
    pub fn refuse_stepwise(&self, script: &Script) -> Result<(), SourceError> {
        let apart = "put what that role is to do into a migration of its own, which is one transaction";
        let savepoint = "remove it, or put what belongs together into a migration of its own";
        let found = [
            self.savepoint.map(|line| (line, "a savepoint", savepoint)),
            self.role.map(|line| (line, "another role", apart)),
            self.one_transaction,
        ];
        found.into_iter().flatten().min().map_or(Ok(()), |(line, what, instead)| {
            let what =
                format!("{what} in a file whose statements are transactions of their own, with a journal between them");
            Err(Refused::new(what, instead).at(script, line))
        })
    }
}

/// What stands there, and what to write instead.
struct Refused {
    what: String,
    instead: String,
}

impl Refused {
    fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into() }
    }

    fn at(self, script: &Script, line: usize) -> SourceError {
        SourceError::Unsupported { path: script.path.clone(), line, what: self.what, instead: self.instead }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(sql: &str) -> Result<Head, String> {
        let script = Script {
            path: "m/1_a.up.sql".into(),
            sql: sql.into(),
            no_transaction: false,
            checksum: Vec::new(),
            parsed: std::sync::Arc::default(),
        };
        Head::read(&script).map_err(|error| error.to_string())
    }

    #[test]
    fn directives_are_read_above_the_first_statement() {
        for head in [
            "-- no-transaction\n-- rehearsal: lock_timeout=5s, batch_rows = 100\n-- rehearsal: lock_budget=1h 30min\nSELECT 1;",
            "\u{feff}-- a\r\n--rehearsal: lock_timeout=5s\r\n/* b */\r\n-- rehearsal: batch_rows=100, lock_budget=90min\r\nSELECT 1;",
        ] {
            let limits = read(head).expect("reads").limits;
            assert_eq!(limits.lock_timeout, Some(Duration::from_secs(5)));
            assert_eq!((limits.batch_rows, limits.lock_budget), (Some(100), Some(Duration::from_secs(5400))));
            assert_eq!(limits.statement_timeout, None);
        }
        assert!(read("SELECT $$\n-- rehearsal: nonsense\n$$").expect("reads").limits.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (sql, what) in [
            ("-- rehearsal: lock_timeot=5s\n", "1: `lock_timeot` is no limit of a file"),
            ("\n-- rehearsal: lock_timeout 5s\n", "2: `lock_timeout 5s` in a `-- rehearsal:` comment is no NAME=VALUE"),
            ("-- rehearsal: lock_timeout=5\n", "1: lock_timeout must be a time like 5s or 1h 30min, not `5`"),
            ("-- rehearsal: lock_timeout=0s\n", "1: lock_timeout must be at least 1ms and at most 24 days"),
            ("-- rehearsal: batch_rows=-1\n", "1: batch_rows must be a whole number, not `-1`"),
            ("-- rehearsal: batch_rows=1, batch_rows=2\n", "1: batch_rows is set twice"),
            ("-- rehearsal: check_timeout=5s\n", "1: `check_timeout` is no limit of a file"),
            (
                "SELECT 1;\n-- rehearsal: lock_timeout=5s\n",
                "2: a `-- rehearsal:` comment behind the first statement: it is for the whole file",
            ),
        ] {
            assert_eq!(read(sql).expect_err("refused"), format!("m/1_a.up.sql:{what}"));
        }
    }

    #[test]
    fn what_needs_one_transaction_is_refused_where_there_is_none() {
        for sql in [
            "SET LOCAL search_path = other",
            "SET CONSTRAINTS ALL DEFERRED",
            "LOCK TABLE t",
            "CREATE TEMP TABLE x (id int) ON COMMIT DROP",
            "CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1",
            "SELECT pg_catalog.set_config('search_path', 'other', true)",
            "PREPARE q AS SELECT 1",
        ] {
            let script = |sql: String, no_transaction| Script {
                path: "m/1_a.up.sql".into(),
                sql,
                no_transaction,
                checksum: Vec::new(),
                parsed: std::sync::Arc::default(),
            };
            let stepwise = crate::statement::parse(&script(format!("-- no-transaction\nSELECT 1;\n{sql};\n"), true));
            let refused = stepwise.expect_err(sql).to_string();
            assert!(
                refused.starts_with("m/1_a.up.sql:3: ") && refused.contains("transactions of their own"),
                "{refused}"
            );
            crate::statement::parse(&script(format!("SELECT 1;\n{sql};\n"), false)).expect(sql);
        }
    }
}
