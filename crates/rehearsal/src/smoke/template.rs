//! `{name}` in a request, and what is put in its place.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What RFC 3986 calls unreserved stays as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Values by name.
pub type Values = BTreeMap<String, Value>;

/// A name for which there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub String);

/// The parts of a text: what stands as it is, and names.
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| from + at) {
        let name = rest[open + 1..].split('}').next().filter(|name| rest[open + 1 + name.len()..].starts_with('}'));
        match name.filter(|name| is_name(name)) {
            Some(name) => {
                parts.push(Part::Text(&rest[..open]));
                parts.push(Part::Name(name));
                rest = &rest[open + name.len() + 2..];
                from = 0;
            }
            // Any other brace is a brace.
            None => from = open + 1,
        }
    }
    parts.push(Part::Text(rest));
    parts
}

/// Whether it can stand between braces: a lower-case letter, then letters, digits and underscores.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The names in a text.
#[must_use]
pub fn names(text: &str) -> Vec<&str> {
    parts(text)
        .into_iter()
        .filter_map(|part| match part {
            Part::Name(name) => Some(name),
            Part::Text(_) => None,
        })
        .collect()
}

/// The names in the texts of a value.
#[must_use]
pub fn names_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => names(text),
        Value::Array(items) => items.iter().flat_map(names_in).collect(),
        Value::Object(fields) => fields.values().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn fill(text: &str, values: &Values, write: impl Fn(String) -> String) -> Result<String, Missing> {
    let mut filled = String::new();
    for part in parts(text) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Name(name) => {
                let value = values.get(name).ok_or_else(|| Missing(name.to_owned()))?;
                filled.push_str(&write(plain(value)));
            }
        }
    }
    Ok(filled)
}

/// A text with the values in it.
///
/// # Errors
/// [`Missing`].
pub fn fill_text(text: &str, values: &Values) -> Result<String, Missing> {
    fill(text, values, |value| value)
}

/// A path with the values in it, percent-encoded: a value never adds a slash or a parameter.
///
/// # Errors
/// [`Missing`].
pub fn fill_path(text: &str, values: &Values) -> Result<String, Missing> {
    fill(text, values, |value| utf8_percent_encode(&value, ENCODED).to_string())
}

/// A JSON value with the values in its texts. A text that is nothing but `{name}` becomes the value
/// itself, so that a number stays one.
///
/// # Errors
/// [`Missing`].
pub fn fill_json(value: &Value, values: &Values) -> Result<Value, Missing> {
    Ok(match value {
        Value::String(text) => match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if is_name(name) => values.get(name).ok_or_else(|| Missing(name.to_owned()))?.clone(),
            _ => Value::String(fill_text(text, values)?),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill_json(item, values)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), fill_json(value, values)?)))
                .collect::<Result<_, Missing>>()?,
        ),
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values() -> Values {
        Values::from([("id".into(), json!(7)), ("who".into(), json!("a/b c?ü"))])
    }

    #[test]
    fn only_names_are_replaced() {
        assert_eq!(fill_text("{id}-{who}{id}", &values()), Ok("7-a/b c?ü7".into()));
        for text in ["{}", "{ id }", "{Id}", "{id", "a } b { c", "{\"id\": 1}", "{{"] {
            assert_eq!(fill_text(text, &values()), Ok(text.into()));
        }
        assert_eq!(fill_text("{{id}}", &values()), Ok("{7}".into()));
        assert_eq!(fill_text("/x/{what}", &values()), Err(Missing("what".into())));
        assert_eq!(names("{id}/{{who}}"), ["id", "who"]);
    }

    #[test]
    fn a_value_stays_within_its_part_of_a_path() {
        assert_eq!(fill_path("/users/{who}/x?y={id}", &values()), Ok("/users/a%2Fb%20c%3F%C3%BC/x?y=7".into()));
    }

    #[test]
    fn a_number_stays_a_number() {
        let body = json!({"id": "{id}", "text": "no. {id}", "list": [["{who}"], true, null]});
        let filled = json!({"id": 7, "text": "no. 7", "list": [["a/b c?ü"], true, null]});
        assert_eq!(fill_json(&body, &values()), Ok(filled));
        assert_eq!(names_in(&body), ["id", "id", "who"]);
    }
}
