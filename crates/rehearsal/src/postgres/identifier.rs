//! The one place that quotes identifiers.

/// An identifier as PostgreSQL's `quote_ident` would always quote it.
///
/// ```
/// assert_eq!(rehearsal::postgres::identifier::quote("a\"b"), "\"a\"\"b\"");
/// ```
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.name`, both quoted.
#[must_use]
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote(schema), quote(name))
}

/// A string literal, for the few statements that take no parameters (SET, COMMENT, NOTIFY).
#[must_use]
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
