//! What a file's tokens tell before a parser looks at it: where its statements end and with which words
//! they begin, and what is no SQL at all.
//!
//! It needs no grammar, so it holds for files that the parser does not understand as well. The parser
//! decides what the statements are; from here it only learns where a large file may be cut.

use squawk_lexer::{TokenKind, tokenize};

use crate::batch_marker;

/// How many words a statement is known by: `SET SESSION CHARACTERISTICS AS TRANSACTION` is told by three.
const WORDS: usize = 4;

/// Something in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// The text of a comment line that says `rehearsal:`, without what opens it.
    Directive {
        /// What follows the colon.
        text: &'a str,
        /// A statement has begun before it.
        late: bool,
    },
    /// A comment that asks for batches.
    BatchMarker,
    /// A backslash outside of every string, with the rest of its line: a command of psql.
    Command(&'a str),
    /// A statement that is over.
    Statement(Rough<'a>),
}

/// A statement, as its tokens show it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rough<'a> {
    /// Its first words, as written; empty behind the last one.
    pub words: [&'a str; WORDS],
    /// It is a COPY that goes through the connection.
    pub copies: Option<Copies>,
    /// It calls `set_config`, or names it.
    pub sets_config: bool,
    /// Behind its semicolon: the first byte that is no longer part of it.
    pub end: usize,
}

/// See [`Rough::copies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// `FROM stdin`: its data come after it.
    In,
    /// `TO stdout`: its data go to whoever sent it.
    Out,
}

impl Rough<'_> {
    /// Whether it begins with these words.
    pub fn begins(&self, words: &[&str]) -> bool {
        words.iter().zip(self.words).all(|(word, found)| found.eq_ignore_ascii_case(word))
    }
}

/// Goes through a file and tells `each` of what it finds, with the line, from 1.
pub(crate) fn walk<'a, E>(text: &'a str, mut each: impl FnMut(usize, Found<'a>) -> Result<(), E>) -> Result<(), E> {
    let (mut offset, mut late, mut lines) = (0, false, Lines::new(text));
    let mut open: Option<(usize, Open<'a>)> = None;
    for token in tokenize(text) {
        let end = offset + token.len as usize;
        let written = &text[offset..end];
        match token.kind {
            TokenKind::Whitespace | TokenKind::Eof => {}
            TokenKind::LineComment => {
                let said = written.trim_start_matches('-').trim_start();
                if let Some(text) = said.strip_prefix("rehearsal:") {
                    each(lines.of(offset), Found::Directive { text: text.trim(), late })?;
                }
            }
            TokenKind::BlockComment { .. } => {
                if batch_marker::asked_for(written.trim_start_matches("/*").trim_start()).is_some() {
                    each(lines.of(offset), Found::BatchMarker)?;
                }
            }
            TokenKind::Unknown if written == "\\" => {
                let rest = text[offset..].lines().next().unwrap_or_default();
                each(lines.of(offset), Found::Command(rest.trim_end()))?;
            }
            kind => {
                late = true;
                let (_, statement) = open.get_or_insert_with(|| (lines.of(offset), Open::default()));
                if statement.take(kind, written)
                    && let Some((began, statement)) = open.take()
                    && statement.count > 0
                {
                    each(began, Found::Statement(statement.rough(end)))?;
                }
            }
        }
        offset = end;
    }
    match open.take() {
        Some((began, statement)) => each(began, Found::Statement(statement.rough(offset))),
        None => Ok(()),
    }
}

/// Lines of offsets that are asked for in ascending order: each byte of the text is counted once.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), offset: 0, line: 1 }
    }

    /// The line of a byte, from 1.
    pub fn of(&mut self, offset: usize) -> usize {
        let offset = offset.min(self.text.len()).max(self.offset);
        self.line += memchr::memchr_iter(b'\n', &self.text[self.offset..offset]).count();
        self.offset = offset;
        self.line
    }
}

/// A statement that is being read.
#[derive(Default)]
struct Open<'a> {
    words: [&'a str; WORDS],
    count: usize,
    last: &'a str,
    parentheses: usize,
    /// How many `END`s are to come in a `BEGIN ATOMIC` body.
    body: usize,
    copies: Option<Copies>,
    sets_config: bool,
}

impl<'a> Open<'a> {
    /// Takes the next token. Whether that was the last one.
    fn take(&mut self, kind: TokenKind, written: &'a str) -> bool {
        let is = |word: &str| written.eq_ignore_ascii_case(word);
        self.sets_config |= kind == TokenKind::Ident && is("set_config");
        match kind {
            TokenKind::Semi if self.parentheses == 0 && self.body == 0 => return true,
            TokenKind::OpenParen => self.parentheses += 1,
            TokenKind::CloseParen => self.parentheses = self.parentheses.saturating_sub(1),
            TokenKind::Ident if self.parentheses == 0 => {
                if is("ATOMIC") && self.last.eq_ignore_ascii_case("BEGIN") && self.count > 1 {
                    self.body = 1;
                } else if self.body > 0 && is("CASE") {
                    self.body += 1;
                } else if self.body > 0 && is("END") {
                    self.body -= 1;
                }
                if self.words[0].eq_ignore_ascii_case("COPY") {
                    let after = |word: &str| self.last.eq_ignore_ascii_case(word);
                    if after("FROM") && is("STDIN") {
                        self.copies = Some(Copies::In);
                    } else if after("TO") && is("STDOUT") {
                        self.copies = Some(Copies::Out);
                    }
                }
            }
            _ => {}
        }
        if self.count < WORDS {
            self.words[self.count] = written;
        }
        self.count += 1;
        self.last = written;
        false
    }

    fn rough(self, end: usize) -> Rough<'a> {
        Rough { words: self.words, copies: self.copies, sets_config: self.sets_config, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(usize, String)> {
        let mut told = Vec::new();
        let done: Result<(), ()> = walk(text, |line, found| {
            told.push((
                line,
                match found {
                    Found::Directive { text, late } => format!("directive {text} {late}"),
                    Found::BatchMarker => "marker".into(),
                    Found::Command(text) => format!("command {text}"),
                    Found::Statement(rough) => {
                        let copies = rough.copies.map_or_else(String::new, |copies| format!(" {copies:?}"));
                        format!("{}{copies}", rough.words.join(" ").trim_end())
                    }
                },
            ));
            Ok(())
        });
        done.map(|()| told).expect("nothing stops it")
    }

    #[test]
    fn statements_are_told_by_their_words_and_lines() {
        let text = "-- a;\nselect 1;\r\n\r\nCREATE FUNCTION f() RETURNS int BEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 END; SELECT 2; END;\n\
                    create rule r as on insert to t do (select 1; select 2);\n;;\ndo $$ begin;\nend; $$; commit";
        let told: Vec<_> = told(text).into_iter().map(|(line, what)| format!("{line} {what}")).collect();
        assert_eq!(
            told,
            ["2 select 1", "4 CREATE FUNCTION f (", "6 create rule r as", "8 do $$ begin;\nend; $$", "9 commit"]
        );
    }

    #[test]
    fn a_backslash_is_a_command_only_outside_of_strings() {
        assert_eq!(told("\\set x 1\r\nselect"), [(1, "command \\set x 1".into()), (1, "set x 1 select".into())]);
        let quiet = "select '\n\\i x', E'\\'\\n', $a$\n\\copy\n$a$, \"a\\b\"; -- \\i\n/* \\i */ select 1;";
        assert!(told(quiet).iter().all(|(_, what)| what.starts_with("select")), "{:?}", told(quiet));
    }

    #[test]
    fn data_in_the_file_is_told_from_other_copies() {
        let copies = |text: &str, how: &str| told(text)[0].1.ends_with(how);
        assert!(copies("COPY public.a (b, c) FROM stdin WITH (FORMAT csv);\n1,2\n\\.\n", " In"));
        assert!(copies("copy (select 1) to STDOUT;", " Out"));
        for other in ["copy a from '/x/stdin';", "copy a (\"from\", stdin) from '/x';"] {
            assert!(!copies(other, " In") && !copies(other, " Out"), "{other}");
        }
    }
}
