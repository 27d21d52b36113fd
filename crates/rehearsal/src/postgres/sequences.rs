//! Where sequences stand. No row tells, and one that stands too low gives keys that are there already.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::contents::TableName;
use super::identifier::{literal, qualified};
use super::query::Stopped;
use super::session::Session;
use crate::error::Result;

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The value that it gave last, or the first one that it is going to give.
    pub last_value: i64,
    /// The value has been given.
    pub is_called: bool,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.last_value, if self.is_called { "" } else { " (not given yet)" })
    }
}

/// A sequence with what its order goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Where it stands.
    pub position: Position,
    /// It counts down.
    pub descending: bool,
    /// It begins again when it has come to its end: no place is behind another.
    pub cycles: bool,
}

impl Sequence {
    /// Whether `later` is where it stood, or further on.
    #[must_use]
    pub fn reaches(&self, later: Position) -> bool {
        let key = |position: Position| {
            let value = i128::from(position.last_value);
            (if self.descending { -value } else { value }, position.is_called)
        };
        self.cycles || key(later) >= key(self.position)
    }
}

/// Sequences by name.
pub type Sequences = BTreeMap<TableName, Sequence>;

/// Where the dump sets them to.
pub type Positions = BTreeMap<TableName, Position>;

const LIST: &str = "\
    SELECT n.nspname::text, c.relname::text, s.seqincrement < 0, s.seqcycle \
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
      AND n.nspname IS DISTINCT FROM $1 \
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
    ORDER BY 1, 2";

/// How many are asked for in one query.
const TOGETHER: usize = 200;

/// Reads all sequences, but for those of one schema and of extensions. They obey no snapshot.
///
/// # Errors
/// The server's.
pub async fn read(session: &mut Session, without_schema: Option<&str>) -> Result<Sequences> {
    let doing = || Stopped::doing("read the sequences");
    let listed = session.fetch_bound(sqlx::query(LIST).bind(without_schema)).await.map_err(doing())?;
    let mut sequences = Sequences::new();
    for some in listed.chunks(TOGETHER) {
        let selects: Vec<String> = some
            .iter()
            .map(|row| {
                let (schema, name): (String, String) = (row.get(0), row.get(1));
                format!(
                    "SELECT {}, {}, last_value, is_called FROM {}",
                    literal(&schema),
                    literal(&name),
                    qualified(&schema, &name)
                )
            })
            .collect();
        let found = session.fetch_text(&selects.join(" UNION ALL "), usize::MAX).await.map_err(doing())?;
        for values in found.rows {
            let mut values = values.into_iter().map(Option::unwrap_or_default);
            let mut next = || values.next().unwrap_or_default();
            let name = TableName { schema: next(), name: next() };
            let Some(row) =
                some.iter().find(|row| row.get::<String, _>(0) == name.schema && row.get::<String, _>(1) == name.name)
            else {
                continue;
            };
            let position = Position { last_value: next().parse().unwrap_or_default(), is_called: next() == "t" };
            sequences.insert(name, Sequence { position, descending: row.get(2), cycles: row.get(3) });
        }
    }
    Ok(sequences)
}

/// What is not as it was, a phrase each. One that has moved on is as it was: no rollback gives back a
/// key that was given out.
#[must_use]
pub fn differences(before: &Sequences, now: &Sequences) -> Vec<String> {
    before
        .iter()
        .filter_map(|(name, then)| match now.get(name) {
            None => Some(format!("the sequence {name} is gone")),
            Some(other) if !then.reaches(other.position) => {
                Some(format!("the sequence {name} stood at {} and stands at {}", then.position, other.position))
            }
            Some(_) => None,
        })
        .collect()
}

/// Where sequences do not stand where they were set to, a phrase each.
#[must_use]
pub fn misplaced<'a>(expected: impl Iterator<Item = (&'a TableName, &'a Position)>, found: &Sequences) -> Vec<String> {
    expected
        .filter_map(|(name, position)| match found.get(name) {
            None => Some(format!("the sequence {name} is missing")),
            Some(other) if other.position != *position => {
                Some(format!("the sequence {name} stands at {} instead of {position}", other.position))
            }
            Some(_) => None,
        })
        .collect()
}

/// The positions that a dump's script sets: `SELECT pg_catalog.setval('public.s', 2, true);`
#[must_use]
pub fn in_script(script: &str) -> Positions {
    const CALL: &str = "SELECT pg_catalog.setval('";
    script.match_indices(CALL).filter_map(|(at, _)| set_by(&script[at + CALL.len()..])).collect()
}

fn set_by(rest: &str) -> Option<(TableName, Position)> {
    let (name, rest) = until_quote(rest, '\'')?;
    let (values, _) = rest.strip_prefix(", ")?.split_once(");")?;
    let (value, called) = values.split_once(", ")?;
    let (schema, name) = part(&name)?;
    let (name, rest) = part(name.strip_prefix('.')?)?;
    rest.is_empty().then_some(())?;
    Some((TableName { schema, name }, Position { last_value: value.parse().ok()?, is_called: called == "true" }))
}

/// The first identifier of a qualified name, and what follows it.
fn part(name: &str) -> Option<(String, &str)> {
    if let Some(quoted) = name.strip_prefix('"') {
        return until_quote(quoted, '"');
    }
    let end = name.find('.').unwrap_or(name.len());
    Some((name[..end].to_owned(), &name[end..]))
}

/// The text up to a single quote character; two of them stand for one.
fn until_quote(text: &str, quote: char) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once(quote)?;
        found.push_str(before);
        match after.strip_prefix(quote) {
            Some(after) => {
                found.push(quote);
                rest = after;
            }
            None => return Some((found, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dump_sets_is_read() {
        let script = "SET x = 1;\nSELECT pg_catalog.setval('public.s', 2, true);\n\n\
                      SELECT pg_catalog.setval('\"Other S\".\"it''s \"\"a.b\"\"\"', -7, false);\n";
        let found: Vec<String> =
            in_script(script).iter().map(|(name, position)| format!("{name} {position}")).collect();
        assert_eq!(found, ["Other S.it's \"a.b\" -7 (not given yet)", "public.s 2"]);
    }

    #[test]
    fn forward_is_the_way_that_it_counts() {
        let at = |last_value, is_called| Position { last_value, is_called };
        let up = Sequence { position: at(5, true), descending: false, cycles: false };
        assert!(up.reaches(at(5, true)) && up.reaches(at(6, false)));
        assert!(!up.reaches(at(5, false)) && !up.reaches(at(1, true)));
        let down = Sequence { descending: true, ..up };
        assert!(down.reaches(at(4, true)) && !down.reaches(at(6, true)));
    }
}
