//! A file's text as statements.

use squawk_syntax::ast::{AstNode, Stmt};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::class::{Action, Class};
use super::classify::{classify, classify_by_kind};
use super::file::{Mode, Parsed};
use super::one::Statement;
use crate::head::Head;
use crate::outline::Lines;
use crate::source::{Script, SourceError, without_mark};
use crate::written_rows;

/// How much of a file is given to the parser at once, in bytes. Its tree takes twenty times the text: 50 MB
/// in one piece took 0.9 GB, and this many at a time take no more memory than the text itself does.
const PIECE: usize = 1 << 20;

/// How much of it a complaint may be about before it is believed: no body of SQL is as long.
const LARGEST_PIECE: usize = 16 * PIECE;

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
/// fine, so it is given more of the file until it does not, or has got [`LARGEST_PIECE`] of it.
fn split(script: &Script, head: &Head, piece: usize) -> Result<(Vec<Statement>, Option<String>), SourceError> {
    let text = script.sql.as_str();
    let (mut statements, mut lines) = (Vec::new(), Lines::new(text));
    let (mut from, mut size) = (0, piece);
    while from < text.len() {
        let next = head.ends.partition_point(|end| *end < from.saturating_add(size));
        let to = head.ends.get(next).copied().filter(|to| *to > from).unwrap_or(text.len());
        let parsed = written_rows::parse(&text[from..to]);
        if let Some(error) = parsed.errors().first() {
            if to < text.len() && to - from < LARGEST_PIECE {
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

fn first_token_start(node: &SyntaxNode) -> Option<usize> {
    node.descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .find(|token| !is_trivia(token.kind()))
        .map(|token| usize::from(token.text_range().start()))
}

fn is_trivia(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::WHITESPACE | SyntaxKind::COMMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{IndexBuild, Reindexed};
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
