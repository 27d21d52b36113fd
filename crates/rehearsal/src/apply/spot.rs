//! Where in the user's file the server points to, and what is to be seen there.

use std::ops::Range;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use squawk_lexer::{LiteralKind, TokenKind, tokenize};

use crate::statement::{Parsed, Statement};
use crate::together::Together;

/// How much of a line is shown, in characters. Lines of generated files have no end.
const SHOWN: usize = 100;

/// How many lines of the server's context are shown: the innermost ones.
const CONTEXT_LINES: usize = 4;

/// How the server calls the body of a DO in its context.
const BODY_OF_DO: &str = "inline_code_block line ";

/// What was sent when the server complained. Its position is counted in that.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent<'a> {
    /// The statement as it stands in the file.
    AsWritten,
    /// The statement with its batch marker replaced.
    Replaced { marker: &'a Range<usize>, by: &'a str },
    /// The statement, perhaps with others before and behind it, all of them behind so many characters of ours.
    Together { together: Together<'a>, behind: usize },
    /// A query of our own on its behalf.
    Ours,
}

/// The byte of the file that the server points to, if it points anywhere.
pub(super) fn offset(statement: &Statement, sent: Sent<'_>, error: &PgDatabaseError) -> Option<usize> {
    let inside = match (error.position(), sent) {
        (Some(_), Sent::Ours) => None,
        (Some(PgErrorPosition::Original(position)), Sent::AsWritten) => Some(byte(&statement.sql, position)),
        (Some(PgErrorPosition::Original(position)), Sent::Replaced { marker, by }) => {
            Some(byte(&statement.sql, as_written(&statement.sql, marker, by, position)))
        }
        (Some(PgErrorPosition::Original(position)), Sent::Together { together, behind }) => {
            let first = together.statements.first()?.offset;
            return Some(first + byte(together.sql, position.checked_sub(behind)?));
        }
        // A query within the statement: of a function's body, or of a DO's.
        (Some(PgErrorPosition::Internal { position, query }), _) => {
            statement.sql.find(query).map(|start| start + byte(query, position))
        }
        (None, _) => None,
    };
    inside.or_else(|| in_body(&statement.sql, error.r#where()?)).map(|inside| statement.offset + inside)
}

/// The byte of a position that is counted in characters, from 1.
fn byte(sql: &str, position: usize) -> usize {
    sql.char_indices().nth(position.saturating_sub(1)).map_or(sql.len(), |(byte, _)| byte)
}

/// The position as it would be had the marker been sent.
fn as_written(sql: &str, marker: &Range<usize>, by: &str, position: usize) -> usize {
    let before = sql[..marker.start].chars().count();
    let (replaced, written) = (by.chars().count(), sql[marker.clone()].chars().count());
    match position.saturating_sub(1) {
        index if index < before => position,
        index if index < before + replaced => before + 1,
        _ => position - replaced + written,
    }
}

/// The line of a DO's body that the context names, which has lines of its own: they begin where the quote does.
fn in_body(sql: &str, context: &str) -> Option<usize> {
    let number = context.lines().rev().find_map(|line| line.split_once(BODY_OF_DO))?.1;
    let number: usize = number.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
    let mut at = 0;
    let quote = tokenize(sql).find_map(|token| {
        let start = at;
        at += token.len as usize;
        let quoted = LiteralKind::DollarQuotedString { terminated: true };
        (token.kind == TokenKind::Literal { kind: quoted }).then_some(start)
    })?;
    if number <= 1 {
        return Some(quote);
    }
    let (above, _) = sql[quote..].match_indices('\n').nth(number - 2)?;
    let line = &sql[quote + above + 1..];
    Some(quote + above + 1 + (line.len() - line.trim_start().len()))
}

/// The line of the file with a mark under the place, and what the server says of how it got there.
pub(super) fn excerpt(file: &Parsed, offset: Option<usize>, context: Option<&str>) -> Option<String> {
    let mut shown = Vec::new();
    let mut gutter = 0;
    if let Some(offset) = offset {
        let (number, column) = file.position(offset);
        let (line, mark) = window(file.line_at(offset), column - 1);
        gutter = number.to_string().len();
        shown.push(format!(" {number} | {line}"));
        // Under a tab stands a tab: they are as wide as each other, however wide that is.
        let blank: String = line.chars().take(mark).map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
        shown.push(format!(" {:gutter$} | {blank}^", ""));
    }
    for line in context.unwrap_or_default().lines().take(CONTEXT_LINES) {
        shown.push(format!(" {:gutter$} = {}", "", window(line, 0).0));
    }
    (!shown.is_empty()).then(|| shown.join("\n"))
}

/// The part of a line around a character, and where in it that character is.
fn window(line: &str, index: usize) -> (String, usize) {
    // Most of what is shown stands before the place: how it comes to be wrong is read from there.
    let from = (index + 1).saturating_sub(SHOWN * 3 / 4);
    let mut letters = line.chars().skip(from);
    let mut part: String = letters.by_ref().take(SHOWN).collect();
    if letters.next().is_some() {
        part.push('…');
    }
    if from == 0 { (part, index) } else { (format!("…{part}"), index - from + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_behind_a_replaced_marker_is_moved_back() {
        let sql = "UPDATE ä SET b = 1 WHERE /* batch: ä.id */ TRUE AND c";
        let start = sql.find("/*").expect("there");
        let marker = start..sql.find(" AND").expect("there");
        for by in ["(ä.id <= $1)", "(ä.id > $1::text::bigint AND ä.id <= $2::text::bigint)"] {
            let sent = sql.replace(&sql[marker.clone()], by);
            let of = |word: &str| {
                let position = sent[..sent.rfind(word).expect("there")].chars().count() + 1;
                byte(sql, as_written(sql, &marker, by, position))
            };
            assert_eq!(of("ä SET"), sql.find("ä SET").expect("there"));
            assert_eq!(of("<= $"), start);
            assert_eq!(of("c"), sql.rfind('c').expect("there"));
        }
    }

    #[test]
    fn a_line_of_a_body_is_counted_from_its_quote() {
        let sql = "DO LANGUAGE plpgsql\n$x$ BEGIN\n  PERFORM 1;\n\tPERFORM 1/0;\nEND $x$";
        let context = "SQL statement \"SELECT 1/0\"\nPL/pgSQL function f() line 7 at PERFORM\nPL/pgSQL function inline_code_block line 3 at PERFORM";
        assert_eq!(in_body(sql, context), sql.find("PERFORM 1/0"));
        assert_eq!(in_body(sql, "PL/pgSQL function inline_code_block line 1 at X"), sql.find("$x$"));
        assert_eq!(in_body(sql, "PL/pgSQL function f() line 1 at X"), None);
        assert_eq!(in_body("DO 'BEGIN END'", "PL/pgSQL function inline_code_block line 2 at X"), None);
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        assert_eq!(window("äb", 1), ("äb".into(), 1));
        let long = format!("{}x{}", "ä".repeat(500), "b".repeat(500));
        let (part, mark) = window(&long, 500);
        assert_eq!(part.chars().nth(mark), Some('x'));
        assert_eq!(part.chars().count(), SHOWN + 2);
    }
}
