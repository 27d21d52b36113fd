//! Rows that are written out in a statement, by the thousand: to what the statement is they add nothing, and the
//! parser's tree takes twenty times their text.

use std::ops::Range;

use squawk_lexer::{LiteralKind, TokenKind, tokenize};
use squawk_syntax::{Parse, SourceFile};

/// From this size on, in bytes, a text is looked through for rows before it is parsed.
const LARGE: usize = 1 << 20;

/// Parses SQL. Of a large text, what the parser sees of each `VALUES` list are its first row and those that hold
/// more than constants; blanks stand where the others are, so that all the rest is at its place.
pub(crate) fn parse(text: &str) -> Parse<SourceFile> {
    if text.len() <= LARGE {
        return SourceFile::parse(text);
    }
    SourceFile::parse(&without_rows(text))
}

fn without_rows(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut offset, mut taken) = (0, 0);
    let mut place = Place::Elsewhere;
    for token in tokenize(text) {
        let range = offset..offset + token.len as usize;
        offset = range.end;
        let (next, row) = place.behind(token.kind, &text[range.clone()], range);
        place = next;
        if let Some(row) = row {
            kept.push_str(&text[taken..row.start]);
            // Lines are counted in what was parsed as well.
            kept.extend(text[row.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            taken = row.end;
        }
    }
    kept.push_str(&text[taken..]);
    kept
}

/// Where the tokens so far have led to.
#[derive(Clone, Copy)]
enum Place {
    /// To no list of rows.
    Elsewhere,
    /// Behind `VALUES`.
    Values,
    /// Behind a row.
    Between,
    /// Behind the comma between two rows, which is there; a comment behind it must stay.
    Comma(Option<usize>),
    /// Into a row of constants only, behind one of them or not. It can go, with what is before it from there on.
    Constants { from: Option<usize>, behind_one: bool },
    /// Into a row that holds more, and as deep into its parentheses.
    More(usize),
}

impl Place {
    /// The place behind the next token, and the row that ends with it and can go.
    fn behind(self, kind: TokenKind, written: &str, at: Range<usize>) -> (Self, Option<Range<usize>>) {
        let is =
            |words: &[&str]| kind == TokenKind::Ident && words.iter().any(|word| written.eq_ignore_ascii_case(word));
        let constant = || is_constant(kind, written.len()) || is(&["NULL", "TRUE", "FALSE", "DEFAULT"]);
        let comment = matches!(kind, TokenKind::LineComment | TokenKind::BlockComment { .. });
        let next = match (self, kind) {
            (same, TokenKind::Whitespace) => same,
            (Self::Comma(_), _) if comment => Self::Comma(None),
            (same @ (Self::Elsewhere | Self::Values | Self::Between | Self::More(_)), _) if comment => same,
            (Self::Elsewhere, _) if is(&["VALUES"]) => Self::Values,
            (Self::Values, TokenKind::OpenParen) => Self::Constants { from: None, behind_one: false },
            (Self::Between, TokenKind::Comma) => Self::Comma(Some(at.start)),
            (Self::Comma(from), TokenKind::OpenParen) => Self::Constants { from, behind_one: false },
            (Self::Constants { from, behind_one: true }, TokenKind::CloseParen) => {
                return (Self::Between, from.map(|from| from..at.end));
            }
            (Self::Constants { from, behind_one: true }, TokenKind::Comma) => {
                Self::Constants { from, behind_one: false }
            }
            (same @ Self::Constants { behind_one: false, .. }, TokenKind::Minus | TokenKind::Plus) => same,
            (Self::Constants { from, behind_one: false }, _) if constant() => {
                Self::Constants { from, behind_one: true }
            }
            (Self::Constants { .. } | Self::More(1), TokenKind::CloseParen) => Self::Between,
            (Self::Constants { .. }, TokenKind::OpenParen) => Self::More(2),
            (Self::Constants { .. }, _) => Self::More(1),
            (Self::More(depth), TokenKind::OpenParen) => Self::More(depth + 1),
            (Self::More(depth), TokenKind::CloseParen) => Self::More(depth - 1),
            (same @ Self::More(_), _) => same,
            _ => Self::Elsewhere,
        };
        (next, None)
    }
}

/// A number or a string that is whole, and one token by itself.
fn is_constant(kind: TokenKind, length: usize) -> bool {
    let TokenKind::Literal { kind } = kind else { return false };
    match kind {
        LiteralKind::Int { empty_int, trailing_junk_start, .. } => !empty_int && trailing_junk_start as usize == length,
        LiteralKind::Numeric { empty_exponent_start, trailing_junk_start } => {
            empty_exponent_start.is_none() && trailing_junk_start as usize == length
        }
        LiteralKind::Str { terminated }
        | LiteralKind::ByteStr { terminated }
        | LiteralKind::BitStr { terminated }
        | LiteralKind::DollarQuotedString { terminated }
        | LiteralKind::EscStr { terminated } => terminated,
        LiteralKind::NationalStr { .. } | LiteralKind::UnicodeEscStr { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_of_constants_go_and_everything_else_is_where_it_was() {
        for (sql, seen) in [
            ("INSERT INTO t VALUES (1, 'ä'), (2, 'b;')\n;", "INSERT INTO t VALUES (1, 'ä')           \n;"),
            ("values (1),\n(-2.5), (NULL)", "values (1) \n              "),
            ("VALUES (1), (now()), (3), (f((4)))", "VALUES (1), (now())     , (f((4)))"),
            ("VALUES (1), /* batch: t.id */ (2), (3 /* ; */)", "VALUES (1), /* batch: t.id */ (2), (3 /* ; */)"),
            ("VALUES (1), (2) ON CONFLICT (a) DO NOTHING", "VALUES (1)      ON CONFLICT (a) DO NOTHING"),
            ("VALUES (1), (2 3), (4abc), ('x", "VALUES (1), (2 3), (4abc), ('x"),
            ("SELECT values, (1), (2)", "SELECT values, (1), (2)"),
        ] {
            assert_eq!(without_rows(sql), seen);
        }
    }

    proptest! {
        /// Whether it parses, and as how many statements, does not depend on the rows that go.
        #[test]
        fn the_parser_says_the_same(
            rows in prop::collection::vec(
                prop::sample::select(vec![
                    "(1, 'a')", "(-1, $$b;$$)", "(NULL, E'\\'')", "(DEFAULT, X'1F')", "(now(), 'c')", "((1), (SELECT 2))",
                    "(1 2)", "()", "(1,)", "(,)", "(3", "4)", "('x' 'y')", "(1, -- ;\n 2)", "('a'::text, 1)", "(1) (2)", "(1.5e, 2)",
                ]),
                1..7,
            ),
            between in prop::sample::select(vec![", ", ",\n", " ,\r\n", ", /* ; */ ", ",,", " "]),
            end in prop::sample::select(vec![";", " RETURNING id;", " ON CONFLICT DO NOTHING;", ""]),
        ) {
            let sql = format!("INSERT INTO t VALUES {}{end}\nSELECT 1;", rows.join(between));
            let short = without_rows(&sql);
            prop_assert_eq!(short.len(), sql.len());
            let (one, other) = (SourceFile::parse(&sql), SourceFile::parse(&short));
            prop_assert_eq!(one.errors().is_empty(), other.errors().is_empty(), "{} {}", sql, short);
            let ends = |parsed: &Parse<SourceFile>| {
                use squawk_syntax::ast::AstNode;
                parsed.tree().stmts().map(|statement| statement.syntax().text_range().end()).collect::<Vec<_>>()
            };
            if one.errors().is_empty() {
                prop_assert_eq!(ends(&one), ends(&other));
            }
        }
    }
}
