//! What an answer must hold, at one place of its JSON.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::template::{self, Missing, Values};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Exactly this.
    Is(Value),
    /// Something, `null` included; or nothing.
    There(bool),
    /// A text with this in it, or a list with such an item.
    Contains(Value),
}

impl JsonSchema for Expected {
    fn schema_name() -> Cow<'static, str> {
        "Expected".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let only = |name: &str, value: Value| {
            json_schema!({
                "type": "object",
                "properties": { name: value },
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "description": "The value itself, or what it must be like.",
            "anyOf": [
                { "type": ["string", "number", "boolean", "array"] },
                only("is", true.into()),
                only("there", json!({ "type": "boolean" })),
                only("contains", true.into()),
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Expected {
    /// A table is one of the forms `{ is = … }`, `{ there = true }`, `{ contains = … }`; anything else is
    /// the value itself.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = match Value::deserialize(deserializer)? {
            Value::Object(fields) => fields,
            value => return Ok(Self::Is(value)),
        };
        let mut fields = fields.into_iter();
        match (fields.next(), fields.next()) {
            (Some((form, value)), None) => match (form.as_str(), value) {
                ("is", value) => Ok(Self::Is(value)),
                ("there", Value::Bool(there)) => Ok(Self::There(there)),
                ("contains", value) => Ok(Self::Contains(value)),
                (form, _) => Err(de::Error::custom(format!(
                    "`{form}` is none of `is = …`, `there = true`, `there = false`, `contains = …`"
                ))),
            },
            _ => Err(de::Error::custom("a table that is meant as a value is written `{ is = { … } }`")),
        }
    }
}

impl Expected {
    /// The names that stand in it.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Is(value) | Self::Contains(value) => template::names_in(value),
            Self::There(_) => Vec::new(),
        }
    }

    /// Why what was found at that place is something else; none if it is not.
    ///
    /// # Errors
    /// [`Missing`]: it speaks of a value that was not saved.
    pub fn complaint(&self, pointer: &str, found: Option<&Value>, values: &Values) -> Result<Option<String>, Missing> {
        let (holds, expected) = match self {
            Self::Is(value) => {
                let value = template::fill_json(value, values)?;
                (found == Some(&value), value.to_string())
            }
            Self::There(true) => (found.is_some(), "something".into()),
            Self::There(false) => (found.is_none(), "nothing".into()),
            Self::Contains(part) => {
                let part = template::fill_json(part, values)?;
                let holds = match (found, &part) {
                    (Some(Value::String(text)), Value::String(part)) => text.contains(part.as_str()),
                    (Some(Value::Array(items)), part) => items.contains(part),
                    _ => false,
                };
                (holds, format!("something with {part} in it"))
            }
        };
        let place = if pointer.is_empty() { "the body" } else { pointer };
        let found = found.map_or_else(|| "nothing".into(), Value::to_string);
        Ok((!holds).then(|| format!("{place}: expected {expected}, found {found}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Expected, toml::de::Error> {
        #[derive(Deserialize)]
        struct Line {
            e: Expected,
        }
        toml::from_str::<Line>(&format!("e = {text}")).map(|line| line.e)
    }

    #[test]
    fn forms_are_told_from_values() {
        assert_eq!(of("'healthy'").ok(), Some(Expected::Is(json!("healthy"))));
        assert_eq!(of("[1, true]").ok(), Some(Expected::Is(json!([1, true]))));
        assert_eq!(of("{ is = { a = 1 } }").ok(), Some(Expected::Is(json!({"a": 1}))));
        assert_eq!(of("{ there = false }").ok(), Some(Expected::There(false)));
        assert_eq!(of("{ contains = 'x' }").ok(), Some(Expected::Contains(json!("x"))));
        for wrong in ["{ a = 1 }", "{ there = 1 }", "{ a = 1, b = 2 }", "{}"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn complaints_tell_both_sides() {
        let values = Values::from([("id".into(), json!(7))]);
        let body = json!({"id": 7, "name": "ada", "list": [1, {"a": null}]});
        let complaint = |expected: Expected, pointer: &str| {
            expected.complaint(pointer, body.pointer(pointer), &values).expect("all values are there")
        };
        assert_eq!(complaint(Expected::Is(json!("{id}")), "/id"), None);
        assert_eq!(complaint(Expected::There(true), "/list/1/a"), None);
        assert_eq!(complaint(Expected::Contains(json!("da")), "/name"), None);
        assert_eq!(complaint(Expected::Contains(json!(1)), "/list"), None);
        assert_eq!(complaint(Expected::There(false), "/nowhere"), None);
        let told = complaint(Expected::Is(json!("7")), "/id");
        assert_eq!(told.as_deref(), Some("/id: expected \"7\", found 7"));
        let told = complaint(Expected::Is(json!(1)), "/list/9");
        assert_eq!(told.as_deref(), Some("/list/9: expected 1, found nothing"));
        let missing = Expected::Is(json!("{other}")).complaint("", None, &values);
        assert_eq!(missing, Err(Missing("other".into())));
    }
}
