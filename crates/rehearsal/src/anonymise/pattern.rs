//! Names of tables and columns as `[anonymise]` writes them: `users.email`, `*.created_at`, `"odd.name".x`.

/// A name in parts, each literal or with `*` for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    text: String,
    quoted: bool,
}

impl Pattern {
    /// Reads one; a part that holds a dot, a star or a quotation mark stands in quotation marks.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = match rest.strip_prefix('"') {
                Some(quoted) => unquoted(quoted).ok_or_else(|| format!("`{text}`: a quotation mark is not closed"))?,
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    (Part { text: rest[..end].to_owned(), quoted: false }, &rest[end..])
                }
            };
            if part.text.is_empty() || (!part.quoted && part.text.contains('"')) {
                return Err(format!("`{text}` is no name: write table.column or schema.table.column"));
            }
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(Self { parts }),
                None => return Err(format!("`{text}`: a dot is missing behind a quotation mark")),
            }
        }
    }

    /// How many parts it has.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// It names exactly one thing.
    pub(super) fn is_exact(&self) -> bool {
        self.parts.iter().all(|part| part.quoted || !part.text.contains('*'))
    }

    /// Compares with a name in all its parts; parts that the pattern leaves out at its beginning fit anything.
    pub(super) fn fits(&self, name: &[&str]) -> bool {
        let skipped = name.len().checked_sub(self.parts.len());
        skipped.is_some_and(|skipped| self.parts.iter().zip(&name[skipped..]).all(|(part, name)| part.fits(name)))
    }

    /// The more of a name it says, the more it counts.
    pub(super) fn weight(&self) -> (bool, usize) {
        let said = self.parts.iter().map(|part| part.text.chars().filter(|c| part.quoted || *c != '*').count()).sum();
        (self.is_exact(), said)
    }
}

impl Part {
    fn fits(&self, name: &str) -> bool {
        if self.quoted { self.text == name } else { matches(&self.text, name) }
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.into_iter().any(|at| matches(after, &rest[at..]))
}

/// Reads up to the closing quotation mark; a doubled one is one of the name's own.
fn unquoted(text: &str) -> Option<(Part, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                name.push('"');
                rest = next;
            }
            None => return Some((Part { text: name, quoted: true }, after)),
        }
    }
}

/// A name as [`Pattern::parse`] reads it back.
pub(super) fn write(name: &[&str]) -> String {
    let plain = |part: &str| !part.is_empty() && !part.contains(['.', '*', '"']);
    let parts: Vec<String> = name
        .iter()
        .map(|part| if plain(part) { (*part).to_owned() } else { format!("\"{}\"", part.replace('"', "\"\"")) })
        .collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, name: &[&str]) -> bool {
        Pattern::parse(pattern).expect("a pattern").fits(name)
    }

    #[test]
    fn stars_stand_for_anything_and_missing_parts_too() {
        assert!(fits("users.email", &["public", "users", "email"]));
        assert!(!fits("other.users.email", &["public", "users", "email"]));
        assert!(fits("*.*_at", &["public", "users", "created_at"]));
        assert!(!fits("*.*_at", &["public", "users", "created"]));
        assert!(fits("\"a.*\".x", &["s", "a.*", "x"]));
        assert!(!fits("\"a.*\".x", &["s", "a.b", "x"]));
        for wrong in ["", "a.", "a..b", "\"a", "\"a\"b", "a\"b.c"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(names in prop::collection::vec("[a-z.*\" <>é]{1,8}", 2..=3)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let pattern = Pattern::parse(&write(&names)).expect("it is read");
            prop_assert!(pattern.is_exact());
            prop_assert!(pattern.fits(&names));
        }
    }
}
