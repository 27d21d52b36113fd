//! Figures as people read them.

/// `950 ms`, `1.3 s`, `2 min 05 s`.
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => {
            let seconds = milliseconds / 1_000;
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        }
    }
}

/// `0.4 ms`, `12 ms`, `1.3 s`.
#[must_use]
pub fn milliseconds_of(microseconds: u64) -> String {
    match microseconds {
        0..10_000 => format!("{}.{} ms", microseconds / 1_000, microseconds % 1_000 / 100),
        _ => duration(microseconds / 1_000),
    }
}

/// `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3 MB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{}.{} kB", number / 1_000, number % 1_000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} MB", number / 1_000_000, number % 1_000_000 / 100_000),
        _ => format!("{}.{} GB", number / 1_000_000_000, number % 1_000_000_000 / 100_000_000),
    }
}

/// Whether a character would not be shown but do something: move the cursor, or turn round what stands behind it.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The lines of a text that a server or a file may have had a word in, so that they steer no terminal and no runner
/// of workflows: to that one, `::` at a line's beginning and `##[` anywhere are commands.
#[must_use]
pub fn harmless(text: &str) -> String {
    let line = |line: &str| {
        let shown: String = line.chars().map(|c| if c != '\t' && steers(c) { ' ' } else { c }).collect();
        let line = shown.replace("##[", "## [");
        if line.trim_start().starts_with("::") { line.replacen("::", ": :", 1) } else { line }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// At most so many characters, with an ellipsis where something was cut; control characters, which
/// could steer a terminal, are shown as blanks.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let clean = text.chars().map(|c| if steers(c) { ' ' } else { c });
    if text.chars().count() <= most {
        return clean.collect();
    }
    clean.take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The words of a text in lines of at most so many characters; a word that is longer has a line of its own.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let length = line.chars().count();
        if length == 0 {
            line.push_str(word);
        } else if length + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A path as short as it is seen from the current folder.
#[must_use]
pub fn path(path: &std::path::Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    short.display().to_string()
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn plural(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_steers_nothing() {
        assert_eq!(harmless("a\u{1b}[2Jb\n  ::error::x\n##[group]\u{202e}y"), "a [2Jb\n  : :error::x\n## [group] y");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0, 999, 1_000, 61_000].map(duration), ["0 ms", "999 ms", "1.0 s", "1 min 01 s"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([12, 1_500, 12_340_000].map(bytes), ["12 B", "1.5 kB", "12.3 MB"]);
        assert_eq!(shortened("a\u{1b}[31mb", 20), "a [31mb");
        assert_eq!(wrapped("one two three-and-more four", 7), ["one two", "three-and-more", "four"]);
    }
}
