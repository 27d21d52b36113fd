//! Migrations that change the table in which they are recorded themselves.

use std::path::Path;

use squawk_syntax::SyntaxKind;
use squawk_syntax::ast::{AstNode, Stmt};

use crate::plan::PlannedFile;
use crate::source::SourceError;
use crate::statement::{Mode, Statement};
use crate::written_rows;

/// What a statement has to do with the history table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    /// Nothing, or it reads it.
    Nothing,
    /// It changes rows of it, or a body in it may.
    Changes,
    /// Afterwards nothing could be recorded there.
    TakesAway,
}

/// Looks for statements that change `table`, as SQL writes it. What would leave this file or another one
/// unrecorded is refused; everything else is told.
///
/// # Errors
/// [`SourceError::Unsupported`], with the statement's place.
pub(crate) fn look(file: &PlannedFile, table: &str) -> Result<Option<String>, SourceError> {
    let bare = table.rsplit('.').next().unwrap_or(table).trim_matches('"');
    let path = &file.script.path;
    let mut told = None;
    for statement in &file.script.statements {
        match (touch(statement, bare), file.script.mode) {
            (Touch::Nothing, _) => {}
            (Touch::TakesAway, _) => {
                let what = format!("it takes {table} away, in which this file is to be recorded");
                return Err(unsupported(path, statement, what, format!("leave {table} where it is")));
            }
            (Touch::Changes, Mode::Stepwise) => {
                let what = format!("it changes {table}, while the file's own row in it says how far it has come");
                let instead = "put it into a file of its own, which is one transaction".to_owned();
                return Err(unsupported(path, statement, what, instead));
            }
            (Touch::Changes, Mode::OneTransaction) => {
                told = Some(format!(
                    "{}:{}: it changes {table} itself; look at `cargo xtask status` afterwards",
                    path.display(),
                    statement.line
                ));
            }
        }
    }
    Ok(told)
}

fn unsupported(path: &Path, statement: &Statement, what: String, instead: String) -> SourceError {
    SourceError::Unsupported { path: path.into(), line: statement.line, what, instead }
}

fn touch(statement: &Statement, bare: &str) -> Touch {
    // Most statements do not even hold the word.
    if !statement.sql.to_lowercase().contains(&bare.to_lowercase()) {
        return Touch::Nothing;
    }
    let parsed = written_rows::parse(&statement.sql);
    let tree = parsed.tree();
    let tokens: Vec<_> = tree
        .syntax()
        .descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .filter(|token| !matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT))
        .collect();
    let names = tokens.iter().any(|token| token.text().trim_matches('"').eq_ignore_ascii_case(bare));
    let in_a_text = tokens.iter().any(|token| token.text().to_lowercase().contains(&bare.to_lowercase()));
    let word = |at: usize| tokens.get(at).map(|token| token.text().to_lowercase()).unwrap_or_default();
    let has = |words: &[&str]| tokens.iter().any(|token| words.contains(&token.text().to_lowercase().as_str()));
    match (word(0).as_str(), names) {
        ("drop", true) if word(1) == "table" => Touch::TakesAway,
        ("alter", true) if word(1) == "table" && has(&["rename", "drop", "schema"]) => Touch::TakesAway,
        (_, true) if tree.stmts().all(|statement| matches!(statement, Stmt::Select(_))) => Touch::Nothing,
        (_, true) => Touch::Changes,
        ("do" | "create", false) if in_a_text => Touch::Changes,
        (_, false) => Touch::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Class;

    #[test]
    fn what_a_statement_has_to_do_with_it() {
        let of = |sql: &str| {
            let statement = Statement { number: 1, offset: 0, line: 1, sql: sql.into(), class: Class::Transactional };
            touch(&statement, "_sqlx_migrations")
        };
        for sql in [
            "SELECT 1",
            "-- see _sqlx_migrations\nDELETE FROM a",
            "DELETE FROM _sqlx_migrations_of_old",
            "SELECT max(version) FROM _sqlx_migrations",
            "COMMENT ON TABLE a IS 'like _sqlx_migrations'",
        ] {
            assert_eq!(of(sql), Touch::Nothing, "{sql}");
        }
        for sql in [
            "DELETE FROM public._sqlx_migrations WHERE version < 3",
            "truncate \"_sqlx_migrations\"",
            "UPDATE _SQLX_MIGRATIONS SET success = true",
            "DO $$ BEGIN DELETE FROM _sqlx_migrations; END $$",
            "ALTER TABLE _sqlx_migrations ADD COLUMN who text",
        ] {
            assert_eq!(of(sql), Touch::Changes, "{sql}");
        }
        for sql in ["DROP TABLE IF EXISTS _sqlx_migrations", "ALTER TABLE _sqlx_migrations RENAME TO old"] {
            assert_eq!(of(sql), Touch::TakesAway, "{sql}");
        }
    }
}
