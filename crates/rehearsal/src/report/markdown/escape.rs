//! Texts of others in Markdown. What comes from a database or a file may hold anything: it must neither end a
//! cell, nor open markup, nor call anybody by name.
//!
//! Signs become character references, which CommonMark never takes for structure; a backslash would be taken
//! for another one's in a cell of a table.

use crate::report::format::shortened;

/// How much of a cell is shown.
const CELL: usize = 160;

/// How much of a sentence is shown.
const SENTENCE: usize = 2_000;

/// For a cell of a table, or an item of a list.
pub(super) fn cell(text: &str) -> String {
    escaped(&shortened(text, CELL))
}

/// For a paragraph of its own.
pub(super) fn sentence(text: &str) -> String {
    escaped(&shortened(text, SENTENCE))
}

/// A piece of code, in a cell as well.
pub(super) fn code(text: &str) -> String {
    let text = shortened(text, CELL);
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    // Between backticks only these three have a meaning; the other two have one
    // to readers that know HTML alone.
    if text.contains(['`', '|', '\\', '<', '&']) {
        let all: String = text.chars().map(in_code).collect();
        return format!("<code>{all}</code>");
    }
    format!("`{text}`")
}

/// Lines as they are.
pub(super) fn block(text: &str) -> String {
    let text: String = text.chars().filter(|sign| !sign.is_control() || *sign == '\n').take(SENTENCE).collect();
    // A fence is ended by one that is as long.
    let mut fence = String::from("```");
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{text}\n{fence}")
}

fn escaped(text: &str) -> String {
    let text = text.trim();
    let mut out = String::with_capacity(text.len());
    let signs: Vec<char> = text.chars().collect();
    let at = |index: Option<usize>| index.and_then(|index| signs.get(index)).copied();
    for (index, &sign) in signs.iter().enumerate() {
        let (before, behind) = (at(index.checked_sub(1)), at(Some(index + 1)));
        let inside_word = before.is_some_and(is_word) && behind.is_some_and(is_word);
        let opens_block = index == 0 && matches!(sign, '#' | '+' | '-' | '=')
            || matches!(sign, '.' | ')') && signs[..index].iter().all(char::is_ascii_digit) && behind == Some(' ');
        match sign {
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' | '$' => out.push_str(&reference(sign)),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '_' if !inside_word => out.push_str(&reference(sign)),
            // No link of its own.
            ':' if behind == Some('/') => out.push_str(&reference(sign)),
            // Behind these, GitHub looks for names and numbers after it has resolved references.
            '@' | '#' if index > 0 && !opens_block && !inside_word && behind.is_some_and(is_word) => {
                out.push(sign);
                out.push_str(NOTHING);
            }
            '@' if behind.is_some_and(is_word) && !inside_word => {
                out.push(sign);
                out.push_str(NOTHING);
            }
            _ if opens_block => {
                out.push_str(&reference(sign));
                if sign == '#' {
                    out.push_str(NOTHING);
                }
            }
            _ => out.push(sign),
        }
    }
    out
}

/// A sign between `<code>` and its end, where Markdown has its meaning.
fn in_code(sign: char) -> String {
    match sign {
        '<' | '>' | '&' | '`' | '|' | '\\' | '*' | '_' | '[' | ']' | '~' | '$' | ':' => reference(sign),
        sign => sign.into(),
    }
}

/// A space of no width.
const NOTHING: &str = "&#8203;";

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric()
}

fn reference(sign: char) -> String {
    format!("&#{};", u32::from(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_plain() {
        for text in ["10,000 rows in 9 tables", "users.email_address: 3, a-b", "50 % (of 2)", "me@host:5432/shop"] {
            assert_eq!(cell(text), text);
        }
    }

    #[test]
    fn nothing_opens_markup() {
        for (text, expected) in [
            ("<b>&lt;", "&lt;b&gt;&amp;lt;"),
            ("a|b", "a&#124;b"),
            ("[x](y)", "&#91;x&#93;(y)"),
            ("_a_ **b**", "&#95;a&#95; &#42;&#42;b&#42;&#42;"),
            ("# head", "&#35;&#8203; head"),
            ("- item", "&#45; item"),
            ("1. item", "1&#46; item"),
            ("see @all and #12", "see @&#8203;all and #&#8203;12"),
            ("@all", "@&#8203;all"),
            ("https://x.example", "https&#58;//x.example"),
            ("`code` \\| $x$", "&#96;code&#96; &#92;&#124; &#36;x&#36;"),
            ("a\nb", "a b"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn code_shows_every_sign() {
        assert_eq!(code("SELECT a_b > 1"), "`SELECT a_b > 1`");
        assert_eq!(code("a | `b`"), "<code>a &#124; &#96;b&#96;</code>");
        assert_eq!(code("a < b_"), "<code>a &#60; b&#95;</code>");
        assert_eq!(code(" "), "");
        assert_eq!(block("a\n```\n<b>"), "````text\na\n```\n<b>\n````");
    }
}
