//! What a release makes of a schema, object by object.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::postgres::schema::{Schema, only_in, short};

/// How many lines of one object are kept: a table with more columns, or a function, is read in its migration.
const LINES: usize = 40;

/// An object that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaChange {
    /// Its kind and its name: `TABLE public.users`.
    pub object: String,
    /// What became of it.
    pub became: Became,
    /// Lines of its definition as pg_dump writes it: those that went (`- `), then those that came (`+ `). None where only
    /// their order is another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// How many more there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

impl SchemaChange {
    /// Whether it is only before (`-`) or only after (`+`); or its name, and then the lines that are.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        let Self { object, became, lines, left_out } = self;
        match became {
            Became::New => vec![format!("+ {object}")],
            Became::Gone => vec![format!("- {object}")],
            Became::Changed if lines.is_empty() => vec![object.clone(), "its lines stand in another order".into()],
            Became::Changed => {
                let more = (*left_out > 0).then(|| format!("… and {left_out} more"));
                std::iter::once(object).chain(lines).chain(&more).cloned().collect()
            }
        }
    }
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It was not there before.
    New,
    /// Its definition or its owner is another one.
    Changed,
    /// It is not there any more.
    Gone,
}

impl Became {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What is new, changed or gone in a later schema, by name.
#[must_use]
pub fn between(before: &Schema, after: &Schema) -> Vec<SchemaChange> {
    let names: BTreeSet<&str> = before.changed_in(after).collect();
    names.into_iter().map(|name| change(name, before.get(name), after.get(name))).collect()
}

fn change(name: &str, then: Option<&str>, now: Option<&str>) -> SchemaChange {
    let became = match (then, now) {
        (Some(_), Some(_)) => Became::Changed,
        (Some(_), None) => Became::Gone,
        (None, _) => Became::New,
    };
    let (then, now) = (then.unwrap_or_default(), now.unwrap_or_default());
    let went = only_in(then, now).map(|line| format!("- {line}"));
    let came = only_in(now, then).map(|line| format!("+ {line}"));
    let mut lines: Vec<String> = went.chain(came).collect();
    let left_out = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    SchemaChange { object: short(name), became, lines, left_out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(objects: &[(&str, &str)]) -> Schema {
        let dump =
            |(name, text): &(&str, &str)| format!("-- Name: {name}; Type: TABLE; Schema: public\n--\n\n{text}\n\n");
        Schema::parse(&objects.iter().map(dump).collect::<String>())
    }

    #[test]
    fn each_object_is_named_with_its_lines() {
        let before = schema(&[("a", "CREATE TABLE a (\n    id int\n);"), ("b", "CREATE TABLE b ();"), ("c", "same")]);
        let after = schema(&[
            ("a", "CREATE TABLE a (\n    id int,\n    n text\n);"),
            ("c", "same"),
            ("d", "CREATE TABLE d ();"),
        ]);
        let change = |object: &str, became, lines: &[&str]| SchemaChange {
            object: object.into(),
            became,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            left_out: 0,
        };
        let expected = [
            change("TABLE public.a", Became::Changed, &["+ n text"]),
            change("TABLE public.b", Became::Gone, &["- CREATE TABLE b ();"]),
            change("TABLE public.d", Became::New, &["+ CREATE TABLE d ();"]),
        ];
        assert_eq!(between(&before, &after), expected);
        assert!(between(&after, &after).is_empty());
    }

    #[test]
    fn a_long_definition_is_cut_and_says_so() {
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let found = between(&schema(&[]), &schema(&[("a", &text)]));
        assert_eq!((found[0].lines.len(), found[0].left_out), (LINES, 60));
    }
}
