//! The schema that was dumped against the one that was restored, object by object.
//!
//! Ownership is part of an object's name here; grants, comments, policies, row-level security and default
//! privileges are objects of their own. Whether an object is there is strict; its text is not always the
//! same after one way through a dump, because the server writes expressions anew: `IN ('a', 'b')` on a
//! varchar comes back with its casts and parentheses elsewhere.

use std::collections::BTreeMap;

use crate::postgres::schema::Schema;

/// Objects whose text the server makes from a parsed tree: a view is written otherwise when the columns
/// below it were renamed, although it is the same.
const WRITTEN_ANEW: &[&str] = &["VIEW", "MATERIALIZED VIEW", "RULE", "FUNCTION", "PROCEDURE"];

/// What differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// What makes the backup wrong.
    pub(super) wrong: Vec<String>,
    /// What is worth a look.
    pub(super) worth_a_look: Vec<String>,
}

/// Compares two schemas.
pub(super) fn compare(dumped: &Schema, restored: &Schema) -> Differences {
    let mut differences = Differences::default();
    let by_name = |schema: &'_ Schema| -> BTreeMap<String, (String, String)> {
        let named = |(header, text): (&str, &str)| {
            let (object, owner) = header.rsplit_once("; Owner: ").unwrap_or((header, "-"));
            (object.to_owned(), (owner.to_owned(), text.to_owned()))
        };
        schema.iter().map(named).collect()
    };
    let (before, mut after) = (by_name(dumped), by_name(restored));
    for (object, (owner, text)) in &before {
        let Some((other_owner, other)) = after.remove(object) else {
            differences.wrong.push(format!("{} is not in the restored copy", phrase(object)));
            continue;
        };
        if *owner != other_owner {
            differences.wrong.push(format!("{} belongs to {other_owner} instead of {owner}", phrase(object)));
        }
        if *text == other || plain(text) == plain(&other) {
            continue;
        }
        let said = format!("{} is not the same in the restored copy: {}", phrase(object), apart(text, &other));
        if WRITTEN_ANEW.contains(&part(object, "Type: ")) {
            differences.worth_a_look.push(said);
        } else {
            differences.wrong.push(said);
        }
    }
    differences.wrong.extend(after.keys().map(|object| format!("{} is only in the restored copy", phrase(object))));
    differences
}

fn part<'a>(object: &'a str, key: &str) -> &'a str {
    object.split("; ").find_map(|part| part.strip_prefix(key)).unwrap_or_default()
}

/// `users; Type: TABLE; Schema: public` as `TABLE public.users`.
fn phrase(object: &str) -> String {
    let name = object.split("; Type: ").next().unwrap_or_default();
    match (part(object, "Type: "), part(object, "Schema: ")) {
        (kind, "-" | "") => format!("{kind} {name}"),
        (kind, schema) => format!("{kind} {schema}.{name}"),
    }
}

/// The lines that only one of two definitions has.
fn apart(before: &str, after: &str) -> String {
    let plain = |line: &'_ str| line.trim().trim_end_matches(',').to_owned();
    let only = |mark: &str, of: &str, other: &str| -> Vec<String> {
        let others: Vec<String> = other.lines().map(plain).collect();
        of.lines().map(plain).filter(|line| !others.contains(line)).map(|line| format!("{mark} {line}")).collect()
    };
    [only("-", before, after), only("+", after, before)].concat().join(" ")
}

/// The lines of a definition in an order of their own, without what the server puts elsewhere when it
/// writes an expression anew: parentheses, and casts between kinds of text.
fn plain(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let mut line = line.trim().trim_end_matches(',').to_owned();
            for cast in ["::character varying", "::text", "::bpchar", "::name"] {
                line = line.replace(cast, "");
            }
            line.retain(|character| !matches!(character, '(' | ')' | '[' | ']' | ' '));
            line
        })
        .collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(objects: &[(&str, &str)]) -> Schema {
        let dump: String =
            objects.iter().map(|(header, text)| format!("-- Name: {header}\n--\n\n{text}\n\n")).collect();
        Schema::parse(&dump)
    }

    #[test]
    fn what_is_lost_is_named() {
        let dumped = schema(&[
            ("t; Type: TABLE; Schema: public; Owner: me", "CREATE TABLE public.t (\n    id integer,\n    n text\n);"),
            ("TABLE t; Type: ACL; Schema: public; Owner: me", "GRANT SELECT ON TABLE public.t TO reader;"),
            ("p; Type: SCHEMA; Schema: -; Owner: me", "CREATE SCHEMA p;"),
        ]);
        let restored = schema(&[
            ("t; Type: TABLE; Schema: public; Owner: other", "CREATE TABLE public.t (\n    id integer\n);"),
            ("u; Type: TABLE; Schema: public; Owner: me", "CREATE TABLE public.u ();"),
            ("p; Type: SCHEMA; Schema: -; Owner: me", "CREATE SCHEMA p;"),
        ]);
        let found = compare(&dumped, &restored);
        assert_eq!(
            found.wrong,
            [
                "ACL public.TABLE t is not in the restored copy",
                "TABLE public.t belongs to other instead of me",
                "TABLE public.t is not the same in the restored copy: - n text",
                "TABLE public.u is only in the restored copy",
            ]
        );
    }

    #[test]
    fn an_expression_that_is_written_anew_is_the_same() {
        let header = "t; Type: TABLE; Schema: public; Owner: me";
        let one =
            "CONSTRAINT c CHECK (((c)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))";
        let other = "CONSTRAINT c CHECK (((c)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))";
        assert_eq!(compare(&schema(&[(header, one)]), &schema(&[(header, other)])), Differences::default());
        let another = one.replace("'b'", "'c'");
        assert_eq!(compare(&schema(&[(header, one)]), &schema(&[(header, &another)])).wrong.len(), 1);
    }
}
