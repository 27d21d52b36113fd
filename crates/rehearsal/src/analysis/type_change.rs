//! Whether a column's new type leaves its values as they are stored.
//!
//! Source: the documentation of ALTER TABLE, "Notes" (a type that is binary coercible to the other needs no
//! rewrite), and of the character and numeric types. A test compares it with what a server does.

/// A column that gets another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeChange {
    /// The column, as written.
    pub column: String,
    /// The new type, as written.
    pub to: String,
    /// The values are computed by an expression.
    pub computed: bool,
}

/// Names that mean the same type; the second one is what `format_type` says.
const SAME: [(&str, &str); 12] = [
    ("bool", "boolean"),
    ("char", "character"),
    ("decimal", "numeric"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("int", "integer"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("varchar", "character varying"),
];

/// Types that store their values in a way of their own: to go from one to another is to write them anew.
const OWN_FORMAT: [&str; 12] = [
    "bigint",
    "boolean",
    "bytea",
    "date",
    "double precision",
    "integer",
    "json",
    "jsonb",
    "numeric",
    "real",
    "smallint",
    "uuid",
];

impl TypeChange {
    /// Whether the rows are written anew when the column has the type `from` (in the words of `format_type`); none
    /// where these rules do not tell.
    #[must_use]
    pub fn rewrites(&self, from: &str) -> Option<bool> {
        let (from, from_limits) = parts(from);
        let (to, to_limits) = parts(&self.to);
        let is_text = |name: &str| ["text", "character varying"].contains(&name);
        let has_own = |name: &str| OWN_FORMAT.contains(&name);
        let kept = if from == to && from_limits == to_limits {
            true
        } else if is_text(&from) && is_text(&to) {
            match (from_limits.first(), to_limits.first()) {
                (_, None) => true,
                (Some(from), Some(to)) => from <= to,
                (None, Some(_)) => false,
            }
        } else if from == "numeric" && to == "numeric" {
            match (from_limits.as_slice(), to_limits.as_slice()) {
                (_, []) => true,
                (&[from, ref from_scale @ ..], &[to, ref to_scale @ ..]) => {
                    from <= to && from_scale.first().unwrap_or(&0) == to_scale.first().unwrap_or(&0)
                }
                ([], _) => false,
            }
        } else if (has_own(&from) || is_text(&from)) && (has_own(&to) || is_text(&to)) && from != to {
            false
        } else {
            return None;
        };
        if kept && self.computed { None } else { Some(!kept) }
    }
}

/// A type's name and its numbers: `numeric` and 10, 2 of `decimal(10, 2)`.
fn parts(ty: &str) -> (String, Vec<u32>) {
    let (name, numbers) = ty.split_once('(').unwrap_or((ty, ""));
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name).to_owned();
    let same = SAME.iter().find(|(other, _)| *other == name).map_or(name, |(_, same)| (*same).to_owned());
    let numbers = numbers.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    (same, numbers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_is_no_rewrite() {
        for (from, to, expected) in [
            ("character varying(10)", "varchar(20)", Some(false)),
            ("character varying(10)", "text", Some(false)),
            ("text", "varchar", Some(false)),
            ("text", "varchar(20)", Some(true)),
            ("character varying(20)", "VARCHAR (10)", Some(true)),
            ("integer", "int4", Some(false)),
            ("integer", "bigint", Some(true)),
            ("numeric(10,2)", "decimal(12, 2)", Some(false)),
            ("numeric(10,2)", "numeric(12,3)", Some(true)),
            ("numeric(10,2)", "numeric", Some(false)),
            ("integer", "text", Some(true)),
            ("timestamp without time zone", "timestamptz", None),
            ("mood", "text", None),
        ] {
            let change = |computed| TypeChange { column: "c".into(), to: to.into(), computed };
            assert_eq!(change(false).rewrites(from), expected, "{from} to {to}");
            assert_eq!(change(true).rewrites(from), expected.filter(|rewrites| *rewrites), "{from} to {to} by USING");
        }
    }
}
