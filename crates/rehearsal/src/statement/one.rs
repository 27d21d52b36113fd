//! One statement.

use super::class::Class;

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
