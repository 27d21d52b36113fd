//! A migration file, split into statements by a real SQL parser and put into classes.
//!
//! Never by `;`: dollar quotes, nested comments and `BEGIN ATOMIC` bodies hold those too. Where the
//! parser does not understand a file, the file is sent whole, as sqlx sends it, and that is said.

use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use squawk_syntax::ast::{AlterTable, AlterTableAction, AstNode, Reindex, ReindexTarget, Stmt};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use crate::apply::OwnLimits;
use crate::batch_marker::{self, Marker};
use crate::head::Head;
use crate::outline::Lines;
use crate::source::{Script, SourceError, without_mark};

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
    /// `CREATE INDEX CONCURRENTLY`.
    CreateIndex(IndexBuild),
    /// `DROP INDEX CONCURRENTLY`.
    DropIndex {
        /// The index as written, with its schema if that was given.
        name: String,
    },
    /// `REINDEX … CONCURRENTLY`, which leaves INVALID indexes of its own when it is stopped.
    Reindex(Reindexed),
    /// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`; names as written, quotes included.
    DetachPartition {
        /// The partitioned table.
        table: String,
        /// What is to go.
        partition: String,
    },
    /// What may simply be run again: `VACUUM`, `REINDEX`, `CLUSTER` …
    Repeatable {
        /// See [`Action::waits`].
        waits: bool,
    },
    /// What nobody can tell from outside whether it was done: `CALL`, `CREATE DATABASE`, a file that
    /// the parser does not understand.
    Unknown {
        /// See [`Action::waits`].
        waits: bool,
    },
}

/// An index that is to be built; names as written, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBuild {
    /// The index, unless PostgreSQL is to choose its name.
    pub name: Option<String>,
    /// Its table.
    pub table: String,
    /// No two rows may have the same key.
    pub unique: bool,
    /// What stands behind the table's name: method, keys, condition.
    pub definition: String,
}

/// What a `REINDEX` is about; names as written, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reindexed {
    /// One index.
    Index(String),
    /// The indexes of a table.
    Table(String),
    /// Those of a schema or of the database.
    All,
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

impl Action {
    /// Whether it waits for other transactions by its nature (`CONCURRENTLY`), and blocks nobody meanwhile. Such
    /// a one needs no limit for locks; behind any other, others would queue.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::CreateIndex(_) | Self::DropIndex { .. } | Self::Reindex(_) | Self::DetachPartition { .. } => true,
            Self::Repeatable { waits } | Self::Unknown { waits } => *waits,
        }
    }
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

/// See [`Statement::may_set`].
const NEVER_SET: [&str; 12] = [
    "ALTER", "ANALYZE", "COMMENT", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "MERGE", "REVOKE", "TRUNCATE",
    "UPDATE",
];

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
    /// Whether it may leave settings of the session changed behind it. Not those that only write tables or
    /// definitions; of all others it is not known what they call.
    #[must_use]
    pub fn may_set(&self) -> bool {
        // A file that is sent whole is one statement here, and more than one to the server.
        let may_be_several = self.sql.trim_end().trim_end_matches(';').contains(';');
        may_be_several || !NEVER_SET.iter().any(|verb| self.begins(verb))
    }

    /// Whether it does nothing but change settings, so that it must be there again for those behind it when
    /// a run is taken up.
    #[must_use]
    pub fn only_sets(&self) -> bool {
        ["SET", "RESET"].iter().any(|verb| self.begins(verb))
    }

    /// It adds rows to a table, in the file's own transaction.
    pub(crate) fn is_insert(&self) -> bool {
        self.class == Class::Transactional && self.begins("INSERT")
    }

    fn begins(&self, verb: &str) -> bool {
        let word = self.sql.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
        word.eq_ignore_ascii_case(verb)
    }

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

/// How much of a file is given to the parser at once, in bytes. Its tree takes twenty times the text: 50 MB
/// in one piece took 0.9 GB, and this many at a time take no more memory than the text itself does.
const PIECE: usize = 1 << 20;

/// Splits a script and puts each statement into its class.
///
/// # Errors
/// [`SourceError::Unsupported`] for what cannot be part of a migration: transaction control, commands of
/// psql, `COPY … FROM stdin` with its data in the file, a directive that is none.
pub fn parse(script: &Script) -> Result<Parsed, SourceError> {
    let text = script.sql.clone();
    let head = Head::read(script)?;
    let (mut statements, unparsed) = split(script, &head, PIECE)?;
    if let Some(reason) = &unparsed {
        head.refuse_whole(script, reason)?;
        let class = if script.no_transaction {
            Class::NonTransactional(Action::Unknown { waits: false })
        } else {
            Class::Transactional
        };
        let offset = text.len() - without_mark(&text).len();
        statements = vec![Statement { number: 1, offset, line: 1, sql: text[offset..].to_owned(), class }];
    }
    // A file without a statement has nothing that could stop half-way.
    let one_transaction = (!script.no_transaction || statements.is_empty())
        && statements.iter().all(|statement| statement.class == Class::Transactional);
    let mode = if one_transaction { Mode::OneTransaction } else { Mode::Stepwise };
    if mode == Mode::Stepwise {
        head.refuse_stepwise(script)?;
    }
    Ok(Parsed { path: script.path.clone(), statements, mode, unparsed, limits: head.limits, notes: head.notes, text })
}

/// The statements, or the parser's first complaint. Piece after piece of about so many bytes, each up to the end of a statement.
/// Where such an end turns out to be none (in a body of SQL), the parser complains about a piece that is
/// fine, so it is given more of the file until it does not, or there is no more.
fn split(script: &Script, head: &Head, piece: usize) -> Result<(Vec<Statement>, Option<String>), SourceError> {
    let text = script.sql.as_str();
    let (mut statements, mut lines) = (Vec::new(), Lines::new(text));
    let (mut from, mut size) = (0, piece);
    while from < text.len() {
        let next = head.ends.partition_point(|end| *end < from.saturating_add(size));
        let to = head.ends.get(next).copied().filter(|to| *to > from).unwrap_or(text.len());
        let parsed = SourceFile::parse(&text[from..to]);
        if let Some(error) = parsed.errors().first() {
            if to < text.len() {
                size = size.saturating_mul(2);
                continue;
            }
            let line = lines.of(from + usize::from(error.range().start()));
            return Ok((Vec::new(), Some(format!("line {line}: {}", error.message()))));
        }
        for statement in parsed.tree().stmts().filter(|statement| !matches!(statement, Stmt::EmptyStmt(_))) {
            let node = statement.syntax();
            let Some(start) = first_token_start(node) else { continue };
            let sql = text[from + start..from + usize::from(node.text_range().end())].to_owned();
            let line = lines.of(from + start);
            let class = match head.has_batches() {
                true => classify(&statement, script, from, start)?,
                false => classify_by_kind(&statement, script.no_transaction),
            };
            statements.push(Statement { number: statements.len() + 1, offset: from + start, line, sql, class });
        }
        (from, size) = (to, piece);
    }
    Ok((statements, None))
}

fn line_of(text: &str, offset: usize) -> usize {
    Lines::new(text).of(offset)
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

fn whole_database(node: &SyntaxNode) -> bool {
    [SyntaxKind::SCHEMA_KW, SyntaxKind::DATABASE_KW, SyntaxKind::SYSTEM_KW].iter().any(|kind| has_token(node, *kind))
}

fn has_token(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    node.descendants_with_tokens().any(|element| element.kind() == kind)
}

/// `from` is where the parsed piece begins in the file, `start` where the statement does in the piece.
fn classify(statement: &Stmt, script: &Script, from: usize, start: usize) -> Result<Class, SourceError> {
    let marker = batch_marker::find(statement.syntax()).map_err(|misplaced| SourceError::Unsupported {
        path: script.path.clone(),
        line: line_of(&script.sql, from + misplaced.offset),
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
            let Some(table) = create.table_relation_name() else { return unknown() };
            let whole = create.syntax().text().to_string();
            let behind = usize::from(table.syntax().text_range().end() - create.syntax().text_range().start());
            Class::NonTransactional(Action::CreateIndex(IndexBuild {
                name: create.index().map(|index| text(index.syntax())),
                table: text(table.syntax()).trim_start_matches("ONLY ").trim_start_matches("only ").to_owned(),
                unique: create.unique_token().is_some(),
                definition: whole[behind..].trim().trim_end_matches(';').to_owned(),
            }))
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
        Stmt::Reindex(reindex) if concurrently() => Class::NonTransactional(Action::Reindex(reindexed(reindex))),
        Stmt::Reindex(_) if whole_database(statement.syntax()) => repeatable(),
        Stmt::Cluster(cluster) if cluster.syntax().children().next().is_none() => repeatable(),
        Stmt::AlterTable(alter) if concurrently() => detached(alter).map_or_else(unknown, Class::NonTransactional),
        // These may commit inside; in a file that asks for no transaction they must be able to.
        Stmt::Call(_) | Stmt::Do(_) if no_transaction => unknown(),
        _ => Class::Transactional,
    }
}

fn reindexed(reindex: &Reindex) -> Reindexed {
    let name = |node: Option<String>, what: fn(String) -> Reindexed| node.map_or(Reindexed::All, what);
    match reindex.reindex_target() {
        Some(ReindexTarget::ReindexTargetIndex(target)) => {
            name(target.index_ref().map(|index| index.syntax().text().to_string()), Reindexed::Index)
        }
        Some(ReindexTarget::ReindexTargetTable(target)) => {
            name(target.table_name_ref().map(|table| table.syntax().text().to_string()), Reindexed::Table)
        }
        _ => Reindexed::All,
    }
}

/// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`, which is alone in its statement.
fn detached(alter: &AlterTable) -> Option<Action> {
    let AlterTableAction::DetachPartition(detach) = alter.actions().next()? else { return None };
    Some(Action::DetachPartition {
        table: alter.table_relation_name()?.syntax().text().to_string().trim().to_owned(),
        partition: detach.table_name_ref()?.syntax().text().to_string().trim().to_owned(),
    })
}

/// The statement's first words, for a line of a table: blanks folded, at most `most` characters.
#[must_use]
pub fn summary(sql: &str, most: usize) -> String {
    let words = sql
        .lines()
        .map(|line| line.split_once("--").map_or(line, |(before, _)| before))
        .flat_map(str::split_whitespace);
    let (mut folded, mut length) = (String::new(), 0);
    for word in words {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
        length += word.chars().count() + 1;
        // The rest may be as long as a table; one word more than what is shown tells that it is cut.
        if length > 2 * most {
            break;
        }
    }
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

    /// Statements that hold what ends others.
    const STATEMENTS: &[&str] = &[
        "SELECT 1",
        "select ';', E'\\';', '\\', $$;$$",
        "SELECT $tag$ ; $$ ; $tagg$ ; '\n$tag$",
        "DO $do$\nBEGIN\n  PERFORM $q$;$q$;\r\n  -- it's; \n  COMMIT;\nEND;\n$do$",
        "CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql BEGIN ATOMIC\n SELECT 1;\n SELECT CASE WHEN true THEN 2 END;\nEND",
        "CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (';'); END",
        "CREATE FUNCTION g() RETURNS text LANGUAGE sql RETURN 'a;b'",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; DELETE FROM v)",
        "INSERT INTO \"a;b\"\"c\" VALUES (E'it\\'s;', U&'\\0441;', B'01', X'1F', 'ä\n''ö;''')",
        "UPDATE t SET \"ключ;\" = '日本;' /* a; /* b; */ ' */ WHERE x -- ;'\n = 1",
        "CREATE TABLE t (\r\n  a int, -- a;\r\n  b text DEFAULT 'x;'\r\n)",
        "SELECT a[1:2], b::text, $1, 1.5e3, a->>'k;', 'a'\n'b'",
    ];

    const ENDS: &[&str] = &[";", " ;", "\n;", " /* ; */;", " -- ;\r\n;"];

    /// What may stand between statements.
    fn gap() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            " ",
            "\n",
            "\r\n",
            "\t",
            "-- it's; a $$ comment\n",
            "/* /* ' ; */ $$ */",
            "-- ä €\r\n",
            ";",
        ]);
        prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\n{}", pieces.concat()))
    }

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
                Class::NonTransactional(Action::CreateIndex(IndexBuild {
                    name: Some("\"I x\"".into()),
                    table: "public.\"user\"".into(),
                    unique: true,
                    definition: "(a)".into(),
                })),
                Class::NonTransactional(Action::DropIndex { name: "s.i".into() }),
                Class::NonTransactional(Action::Repeatable { waits: false }),
            ]
        );
    }

    #[test]
    fn what_leaves_something_behind_tells_where_to_look() {
        let parsed = parsed(
            "-- no-transaction\nREINDEX INDEX CONCURRENTLY s.i;\nREINDEX (VERBOSE) TABLE CONCURRENTLY \"T\";\n\
             REINDEX SCHEMA CONCURRENTLY s;\nALTER TABLE IF EXISTS s.parts DETACH PARTITION \"P 1\" CONCURRENTLY;\n\
             CREATE INDEX CONCURRENTLY ON ONLY t USING gin (a) WHERE b /* ; */;",
        );
        let classes: Vec<_> = parsed.statements.iter().map(|s| s.class.clone()).collect();
        let outside = Class::NonTransactional;
        assert_eq!(
            classes,
            [
                outside(Action::Reindex(Reindexed::Index("s.i".into()))),
                outside(Action::Reindex(Reindexed::Table("\"T\"".into()))),
                outside(Action::Reindex(Reindexed::All)),
                outside(Action::DetachPartition { table: "s.parts".into(), partition: "\"P 1\"".into() }),
                outside(Action::CreateIndex(IndexBuild {
                    name: None,
                    table: "t".into(),
                    unique: false,
                    definition: "USING gin (a) WHERE b /* ; */".into(),
                })),
            ]
        );
    }

    #[test]
    fn what_the_parser_does_not_know_is_sent_whole() {
        let parsed = parsed("CREATE TABL x (a int);\nSELECT 1;");
        assert!(parsed.statements[0].may_set());
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

        /// What stands between statements and the statements themselves are the file, each at its line.
        #[test]
        fn nothing_is_lost_or_split_or_joined(
            pieces in prop::collection::vec((gap(), prop::sample::select(STATEMENTS), prop::sample::select(ENDS)), 0..24),
            mark in any::<bool>(),
            last in gap(),
        ) {
            let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
            let mut expected = Vec::new();
            for (gap, statement, end) in &pieces {
                text.push_str(gap);
                let line = text.matches('\n').count() + 1;
                expected.push((text.len(), line, format!("{statement}{end}")));
                text.push_str(statement);
                text.push_str(end);
            }
            text.push_str(&last);
            let parsed = parse(&script(&text)).expect("parses");
            prop_assert_eq!(&parsed.unparsed, &None, "{}", text);
            let found: Vec<_> = parsed.statements.iter().map(|s| (s.offset, s.line, s.sql.clone())).collect();
            prop_assert_eq!(found, expected);
        }

        /// A large file is parsed in pieces, and they give what the whole would.
        #[test]
        fn pieces_give_what_the_whole_gives(
            statements in prop::collection::vec(prop::sample::select(STATEMENTS), 1..40),
            size in 1_usize..200,
        ) {
            let text = statements.iter().map(|statement| format!("{statement};\n")).collect::<String>();
            let script = script(&text);
            let head = Head::read(&script).expect("reads");
            let (whole, _) = split(&script, &head, text.len()).expect("splits");
            let (pieces, unparsed) = split(&script, &head, size).expect("splits");
            prop_assert_eq!(unparsed, None);
            let told = |statements: &[Statement]| {
                statements.iter().map(|s| (s.number, s.offset, s.line, s.sql.clone())).collect::<Vec<_>>()
            };
            prop_assert_eq!(whole.len(), statements.len());
            prop_assert_eq!(told(&pieces), told(&whole));
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
