//! A migration file, split into statements by a real SQL parser and put into classes.
//!
//! Never by `;`: dollar quotes, nested comments and `BEGIN ATOMIC` bodies hold those too. Where the
//! parser does not understand a file, the file is sent whole, as sqlx sends it, and that is said.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use squawk_syntax::ast::{AstNode, Stmt};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use crate::batch_marker::{self, Marker};
use crate::source::{Script, SourceError};

/// How a statement may be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// In a transaction.
    Transactional,
    /// Only outside of one: PostgreSQL refuses it in a transaction block.
    NonTransactional(Action),
    /// In key ranges, each its own transaction.
    Batched(Batch),
}

/// What a non-transactional statement does, as far as recovery after a crash needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `CREATE INDEX CONCURRENTLY`; names as written, quotes included.
    CreateIndex {
        /// The index, unless PostgreSQL is to choose its name.
        name: Option<String>,
        /// Its table.
        table: String,
    },
    /// `DROP INDEX CONCURRENTLY`.
    DropIndex {
        /// The index as written, with its schema if that was given.
        name: String,
    },
    /// What may simply be run again: `VACUUM`, `REINDEX`, `CLUSTER` …
    Repeatable {
        /// It waits for other transactions by its nature (`CONCURRENTLY`), and blocks nobody meanwhile.
        waits: bool,
    },
    /// What nobody can tell from outside whether it was done: `CALL`, `CREATE DATABASE`, a file that
    /// the parser does not understand.
    Unknown {
        /// See [`Action::Repeatable`].
        waits: bool,
    },
}

/// The marker `/* batch: TABLE.KEY */ TRUE` of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The table whose key is walked, as the statement writes it.
    pub table: String,
    /// How the statement calls that table: its alias, if it has one.
    pub qualifier: String,
    /// The key column, as written.
    pub key: String,
    /// Byte range of comment and `TRUE` in the statement's text.
    pub marker: Range<usize>,
    /// Rows that came in meanwhile are walked as well.
    pub sweeps: bool,
    /// The rows that are walked are changed, and not only read or deleted.
    pub updates: bool,
}

impl Class {
    /// One word for people and records.
    #[must_use]
    pub fn label(&self) -> ClassLabel {
        match self {
            Self::Transactional => ClassLabel::Transactional,
            Self::NonTransactional(_) => ClassLabel::NonTransactional,
            Self::Batched(_) => ClassLabel::Batched,
        }
    }
}

/// A [`Class`] without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassLabel {
    /// See [`Class::Transactional`].
    Transactional,
    /// See [`Class::NonTransactional`].
    NonTransactional,
    /// See [`Class::Batched`].
    Batched,
}

impl std::fmt::Display for ClassLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Transactional => "transactional",
            Self::NonTransactional => "non-transactional",
            Self::Batched => "batched",
        })
    }
}

/// One statement of a file.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its place in the file, from 1.
    pub number: usize,
    /// Its first byte in the file.
    pub offset: usize,
    /// Its first line in the file, from 1.
    pub line: usize,
    /// Its text, unchanged.
    pub sql: String,
    /// How it may be run.
    pub class: Class,
}

impl Statement {
    /// What the journal knows it by: SHA-256 of its text, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        use sha2::Digest;
        crate::postgres::schema::hex(&sha2::Sha256::digest(&self.sql))
    }
}

/// How a file is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Parsed {
    /// Line and column, both from 1, of a byte of the file.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..floor_char_boundary(&self.text, offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Splits a script and puts each statement into its class.
///
/// # Errors
/// [`SourceError::Unsupported`] for what cannot be part of a migration: transaction control, and
/// `COPY … FROM stdin` with its data in the file.
pub fn parse(script: &Script) -> Result<Parsed, SourceError> {
    let text = script.sql.clone();
    let parsed = SourceFile::parse(&text);
    let mut statements = Vec::new();
    for statement in parsed.tree().stmts() {
        if matches!(statement, Stmt::EmptyStmt(_)) {
            continue;
        }
        let node = statement.syntax();
        let Some(start) = first_token_start(node) else { continue };
        let end = usize::from(node.text_range().end());
        let sql = text[start..end].to_owned();
        let line = line_of(&text, start);
        refuse_unsupported(&statement, &script.path, line)?;
        let class = classify(&statement, script, start)?;
        statements.push(Statement { number: statements.len() + 1, offset: start, line, sql, class });
    }
    let unparsed = parsed.errors().first().map(|error| {
        let offset = usize::from(error.range().start());
        format!("line {}: {}", line_of(&text, offset), error.message())
    });
    if unparsed.is_some() {
        let class = if script.no_transaction {
            Class::NonTransactional(Action::Unknown { waits: false })
        } else {
            Class::Transactional
        };
        statements = vec![Statement { number: 1, offset: 0, line: 1, sql: text.clone(), class }];
    }
    // A file without a statement has nothing that could stop half-way.
    let one_transaction = (!script.no_transaction || statements.is_empty())
        && statements.iter().all(|statement| statement.class == Class::Transactional);
    Ok(Parsed {
        path: script.path.clone(),
        text,
        statements,
        mode: if one_transaction { Mode::OneTransaction } else { Mode::Stepwise },
        unparsed,
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

fn first_token_start(node: &SyntaxNode) -> Option<usize> {
    node.descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .find(|token| !is_trivia(token.kind()))
        .map(|token| usize::from(token.text_range().start()))
}

fn is_trivia(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::WHITESPACE | SyntaxKind::COMMENT)
}

fn refuse_unsupported(statement: &Stmt, path: &Path, line: usize) -> Result<(), SourceError> {
    let (what, instead) = match statement {
        Stmt::Begin(_) | Stmt::Commit(_) | Stmt::Rollback(_) | Stmt::PrepareTransaction(_) => (
            "transaction control inside of a migration; sqlx would commit half of the file and then fail",
            "remove it: a file is one transaction already, and with `-- no-transaction` each statement is one",
        ),
        Stmt::Copy(copy) if has_token(copy.syntax(), SyntaxKind::STDIN_KW) => (
            "COPY … FROM stdin with its data in the file, which only psql can read",
            "write the rows as INSERT statements",
        ),
        _ => return Ok(()),
    };
    Err(SourceError::Unsupported { path: path.into(), line, what: what.into(), instead: instead.into() })
}

fn whole_database(node: &SyntaxNode) -> bool {
    [SyntaxKind::SCHEMA_KW, SyntaxKind::DATABASE_KW, SyntaxKind::SYSTEM_KW].iter().any(|kind| has_token(node, *kind))
}

fn has_token(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    node.descendants_with_tokens().any(|element| element.kind() == kind)
}

fn classify(statement: &Stmt, script: &Script, start: usize) -> Result<Class, SourceError> {
    let marker = batch_marker::find(statement.syntax()).map_err(|misplaced| SourceError::Unsupported {
        path: script.path.clone(),
        line: line_of(&script.sql, misplaced.offset),
        what: misplaced.what,
        instead: misplaced.instead,
    })?;
    if let Some(Marker { table, qualifier, key, range, sweeps, updates }) = marker {
        let marker = range.start - start..range.end - start;
        return Ok(Class::Batched(Batch { table, qualifier, key, marker, sweeps, updates }));
    }
    Ok(classify_by_kind(statement, script.no_transaction))
}

fn classify_by_kind(statement: &Stmt, no_transaction: bool) -> Class {
    let text = |node: &SyntaxNode| node.text().to_string().trim().to_owned();
    let concurrently = || has_token(statement.syntax(), SyntaxKind::CONCURRENTLY_KW);
    let repeatable = || Class::NonTransactional(Action::Repeatable { waits: concurrently() });
    let unknown = || Class::NonTransactional(Action::Unknown { waits: concurrently() });
    match statement {
        Stmt::CreateIndex(create) if create.concurrently_token().is_some() => {
            Class::NonTransactional(Action::CreateIndex {
                name: create.index().map(|index| text(index.syntax())),
                table: create.table_relation_name().map_or_else(String::new, |name| {
                    text(name.syntax()).trim_start_matches("ONLY ").trim_start_matches("only ").to_owned()
                }),
            })
        }
        Stmt::DropIndex(drop) if drop.concurrently_token().is_some() => {
            let name = drop.index_refs().next().map(|name| text(name.syntax())).unwrap_or_default();
            Class::NonTransactional(Action::DropIndex { name })
        }
        // https://www.postgresql.org/docs/current/sql-commands.html: each of these says that it
        // "cannot be executed inside a transaction block".
        Stmt::CreateDatabase(_)
        | Stmt::DropDatabase(_)
        | Stmt::CreateTablespace(_)
        | Stmt::DropTablespace(_)
        | Stmt::CreateSubscription(_)
        | Stmt::DropSubscription(_) => unknown(),
        Stmt::Vacuum(_) | Stmt::AlterSystem(_) => repeatable(),
        // REINDEX of a schema, a database or the system commits after each table, and so does CLUSTER
        // without one.
        Stmt::Reindex(_) if concurrently() || whole_database(statement.syntax()) => repeatable(),
        Stmt::Cluster(cluster) if cluster.syntax().children().next().is_none() => repeatable(),
        Stmt::Discard(discard) if has_token(discard.syntax(), SyntaxKind::ALL_KW) => repeatable(),
        // ALTER TABLE … DETACH PARTITION … CONCURRENTLY
        Stmt::AlterTable(_) if concurrently() => unknown(),
        // These may commit inside; in a file that asks for no transaction they must be able to.
        Stmt::Call(_) | Stmt::Do(_) if no_transaction => unknown(),
        _ => Class::Transactional,
    }
}

/// The statement's first words, for a line of a table: blanks folded, at most `most` characters.
#[must_use]
pub fn summary(sql: &str, most: usize) -> String {
    let folded = sql
        .lines()
        .map(|line| line.split_once("--").map_or(line, |(before, _)| before))
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ");
    let folded = folded.trim_end_matches(';');
    if folded.chars().count() <= most {
        return folded.to_owned();
    }
    let mut cut: String = folded.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn script(sql: &str) -> Script {
        Script {
            path: "m/1_a.up.sql".into(),
            sql: sql.into(),
            no_transaction: sql.starts_with("-- no-transaction"),
            checksum: Vec::new(),
            parsed: std::sync::Arc::default(),
        }
    }

    fn parsed(sql: &str) -> Parsed {
        parse(&script(sql)).expect("parses")
    }

    #[test]
    fn semicolons_in_bodies_do_not_split() {
        let sql = "create function f() returns int language sql begin atomic select 1; select 2; end;\n\
                   do $x$ begin perform 1; end $x$; /* a; /* b; */ */ select E'\\';' ;";
        let parsed = parsed(sql);
        assert_eq!(parsed.unparsed, None);
        assert_eq!(parsed.statements.len(), 3);
        assert_eq!(parsed.statements[2].line, 2);
        assert_eq!(parsed.mode, Mode::OneTransaction);
    }

    #[test]
    fn a_batch_marker_is_found_with_its_place() {
        let parsed = parsed(
            "-- why\nUPDATE users SET a = true\nWHERE /* batch: users.id */ TRUE AND a IS NULL;\nANALYZE users;",
        );
        let Class::Batched(batch) = &parsed.statements[0].class else { panic!("not batched") };
        assert_eq!((batch.table.as_str(), batch.key.as_str()), ("users", "id"));
        assert_eq!(&parsed.statements[0].sql[batch.marker.clone()], "/* batch: users.id */ TRUE");
        assert_eq!(parsed.statements[0].line, 2);
        assert_eq!(parsed.statements[1].class, Class::Transactional);
        assert_eq!(parsed.mode, Mode::Stepwise);
    }

    #[test]
    fn concurrently_is_non_transactional_and_tells_its_names() {
        let parsed = parsed(
            "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I x\" ON public.\"user\" (a);\ndrop index concurrently if exists s.i;\nvacuum users;",
        );
        let classes: Vec<_> = parsed.statements.iter().map(|s| s.class.clone()).collect();
        assert_eq!(
            classes,
            [
                Class::NonTransactional(Action::CreateIndex {
                    name: Some("\"I x\"".into()),
                    table: "public.\"user\"".into()
                }),
                Class::NonTransactional(Action::DropIndex { name: "s.i".into() }),
                Class::NonTransactional(Action::Repeatable { waits: false }),
            ]
        );
    }

    #[test]
    fn what_the_parser_does_not_know_is_sent_whole() {
        let parsed = parsed("CREATE TABL x (a int);\nSELECT 1;");
        assert!(parsed.unparsed.is_some());
        assert_eq!(parsed.statements.len(), 1);
        assert_eq!(parsed.statements[0].sql, "CREATE TABL x (a int);\nSELECT 1;");
    }

    #[test]
    fn transaction_control_is_refused_with_its_line() {
        let error = parse(&script("select 1;\n\ncommit;")).expect_err("refused");
        assert!(error.to_string().starts_with("m/1_a.up.sql:3: transaction control"), "{error}");
    }

    #[test]
    fn positions_count_characters() {
        let parsed = parsed("select 'ä',\n  'ö', x");
        let offset = parsed.text.find('x').expect("there");
        assert_eq!(parsed.position(offset), (2, 8));
    }

    proptest! {
        /// Whatever stands in a file, splitting neither fails nor loses a byte of a statement.
        #[test]
        fn every_statement_is_a_slice_of_the_file(text in "[a-z0-9 ;'$\"\n/*ä-]{0,120}") {
            if let Ok(parsed) = parse(&script(&text)) {
                for statement in &parsed.statements {
                    prop_assert_eq!(&text[statement.offset..statement.offset + statement.sql.len()], statement.sql.as_str());
                }
            }
        }

        #[test]
        fn as_many_statements_come_out_as_went_in(
            bodies in prop::collection::vec(
                prop::sample::select(vec!["select ';'", "select $q$ ; $q$", "select 1 /* ; */", "insert into t values (E'\\';')", "create table a(b int)"]),
                0..12,
            )
        ) {
            let text = bodies.iter().map(|body| format!("{body};\n-- a; comment\n")).collect::<String>();
            prop_assert_eq!(parse(&script(&text)).expect("parses").statements.len(), bodies.len());
        }
    }
}
