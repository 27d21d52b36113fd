//! What becomes of a column's values, as `[anonymise.columns]` says it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::json;
use toml::{Table, Value};

/// What a shift is at most: longer ones overflow nothing and say nothing either.
const MOST_DAYS: u32 = 36_500;

/// How a rule may be written, for whoever has written it otherwise.
const KNOWN: &str = "\"keep\", \"null\", \"mask\", \"pseudonym\", \"keep-format\", { mask = { first = 2, last = 2 } }, \
     { pseudonym = \"email\" }, { fake = \"name\" }, { const = \"…\" }, { shift = \"30days\" }, { json = { \"/path\" = … } }";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// They stay.
    Keep,
    /// NULL.
    Null,
    /// Stars, but for so many characters at the beginning and the end.
    Mask {
        /// At the beginning.
        first: u32,
        /// At the end.
        last: u32,
    },
    /// A name made with the key: the same value gets the same one, in every table and run.
    Pseudonym,
    /// The same, as an e-mail address.
    PseudonymEmail,
    /// Something that reads like the real thing, chosen with the key. Two values may get the same.
    Fake(Fake),
    /// Digits for digits, letters for letters.
    KeepFormat,
    /// The same for all.
    Const(String),
    /// Moved by at most so many days.
    Shift {
        /// How many.
        days: u32,
    },
    /// A document path by path.
    Json {
        /// Paths and what becomes of the values there.
        paths: Vec<(Vec<String>, Rule)>,
        /// What no path names stays; without this it goes.
        keep_others: bool,
    },
}

/// What a fake reads like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fake {
    /// First and last name.
    Name,
    /// A first name.
    FirstName,
    /// A last name.
    LastName,
    /// An e-mail address at example.org.
    Email,
    /// A telephone number that nobody has.
    Phone,
    /// A town.
    City,
    /// A company.
    Company,
    /// A street and a number.
    Street,
}

impl Fake {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::FirstName => "first-name",
            Self::LastName => "last-name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::City => "city",
            Self::Company => "company",
            Self::Street => "street",
        }
    }
}

impl Rule {
    /// Its name, for people and figures.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Keep => "keep".into(),
            Self::Null => "null".into(),
            Self::Mask { first, last } => format!("mask, {first} first and {last} last stay"),
            Self::Pseudonym => "pseudonym".into(),
            Self::PseudonymEmail => "pseudonym as email".into(),
            Self::Fake(fake) => format!("fake {}", fake.as_str()),
            Self::KeepFormat => "keep-format".into(),
            Self::Const(_) => "const".into(),
            Self::Shift { days } => format!("shift by up to {days} days"),
            Self::Json { paths, keep_others } => {
                format!("json, {} paths, others {}", paths.len(), if *keep_others { "stay" } else { "go" })
            }
        }
    }

    /// A new value that equals somebody's old one is chance and no leak.
    pub(super) fn leaves_to_chance(&self) -> bool {
        matches!(self, Self::Fake(_) | Self::Const(_) | Self::Keep)
    }
}

impl JsonSchema for Rule {
    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let only = |name: &str, value: serde_json::Value| {
            json_schema!({
                "type": "object",
                "properties": { name: value },
                "required": [name],
                "additionalProperties": false,
            })
        };
        let (fake, rule) = (generator.subschema_for::<Fake>(), generator.subschema_for::<Self>());
        let characters = json!({ "type": "integer", "minimum": 0 });
        let ends = json!({
            "type": "object",
            "properties": { "first": characters, "last": characters },
            "additionalProperties": false,
        });
        let paths = json!({
            "type": "object",
            "propertyNames": { "pattern": "^(/[^/]+)+$" },
            "additionalProperties": rule,
        });
        json_schema!({
            "description": "What becomes of a column's values.",
            "oneOf": [
                { "enum": ["keep", "null", "mask", "pseudonym", "keep-format"] },
                only("pseudonym", json!({ "const": "email" })),
                only("fake", fake.to_value()),
                only("const", json!({ "type": "string" })),
                only("mask", ends),
                only("shift", json!({ "type": "string", "examples": ["30days"] })),
                {
                    "type": "object",
                    "properties": { "json": paths, "others": { "enum": ["drop", "keep"] } },
                    "required": ["json"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn read(value: &Value) -> Result<Rule, String> {
    let unknown = || format!("no rule is written {value}; there are {KNOWN}");
    match value {
        Value::String(word) => match word.as_str() {
            "keep" => Ok(Rule::Keep),
            "null" => Ok(Rule::Null),
            "mask" => Ok(Rule::Mask { first: 0, last: 0 }),
            "pseudonym" => Ok(Rule::Pseudonym),
            "keep-format" => Ok(Rule::KeepFormat),
            _ => Err(unknown()),
        },
        Value::Table(table) => {
            let others = table.get("others");
            let mut kinds = table.iter().filter(|(name, _)| *name != "others");
            let (Some((kind, value)), None) = (kinds.next(), kinds.next()) else { return Err(unknown()) };
            if others.is_some() && kind != "json" {
                return Err(unknown());
            }
            match (kind.as_str(), value) {
                ("pseudonym", Value::String(of)) if of == "email" => Ok(Rule::PseudonymEmail),
                ("fake", value) => value.clone().try_into().map(Rule::Fake).map_err(|error| error.message().to_owned()),
                ("const", Value::String(text)) => Ok(Rule::Const(text.clone())),
                ("mask", Value::Table(ends)) => mask(ends),
                ("shift", Value::String(time)) => shift(time),
                ("json", Value::Table(paths)) => json(paths, others),
                _ => Err(unknown()),
            }
        }
        _ => Err(unknown()),
    }
}

fn mask(ends: &Table) -> Result<Rule, String> {
    let mut characters = [0; 2];
    for (end, value) in ends {
        let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| format!("mask.{end} must be a number of characters"))?;
        match end.as_str() {
            "first" => characters[0] = number,
            "last" => characters[1] = number,
            _ => return Err(format!("mask has `first` and `last`, and no `{end}`")),
        }
    }
    Ok(Rule::Mask { first: characters[0], last: characters[1] })
}

fn shift(time: &str) -> Result<Rule, String> {
    let days = humantime::parse_duration(time).ok().map(|time| time.as_secs() / 86_400);
    let days = days.and_then(|days| u32::try_from(days).ok()).filter(|days| (1..=MOST_DAYS).contains(days));
    days.map(|days| Rule::Shift { days })
        .ok_or_else(|| format!("shift must be a number of days, from 1 to {MOST_DAYS}: \"30days\""))
}

fn json(written: &Table, others: Option<&Value>) -> Result<Rule, String> {
    let keep_others = match others.map(|others| others.as_str()) {
        None | Some(Some("drop")) => false,
        Some(Some("keep")) => true,
        Some(_) => return Err("`others` is \"drop\", which is the default, or \"keep\"".into()),
    };
    let mut paths = Vec::new();
    for (path, value) in written {
        let parts: Vec<String> =
            path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        // A star means every element elsewhere: taken for a name, it would do nothing and say nothing.
        let is_no_name = |part: &String| part.is_empty() || part == "*" || part.parse::<u64>().is_ok();
        if !path.starts_with('/') || parts.iter().any(is_no_name) {
            return Err(format!(
                "json.`{path}`: write a path of names, /like/this; elements of arrays have no rule of their own"
            ));
        }
        let rule = read(value)?;
        if matches!(rule, Rule::Json { .. } | Rule::Shift { .. }) {
            return Err(format!("json.`{path}` takes a rule for text"));
        }
        paths.push((parts, rule));
    }
    Ok(Rule::Json { paths, keep_others })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule, String> {
        let table: Table = format!("rule = {text}").parse().expect("TOML");
        read(&table["rule"])
    }

    #[test]
    fn each_way_to_write_a_rule() {
        assert_eq!(rule("'mask'"), Ok(Rule::Mask { first: 0, last: 0 }));
        assert_eq!(rule("{ mask = { last = 4 } }"), Ok(Rule::Mask { first: 0, last: 4 }));
        assert_eq!(rule("{ pseudonym = 'email' }"), Ok(Rule::PseudonymEmail));
        assert_eq!(rule("{ fake = 'first-name' }"), Ok(Rule::Fake(Fake::FirstName)));
        assert_eq!(rule("{ shift = '30days' }"), Ok(Rule::Shift { days: 30 }));
        let paths = vec![(vec!["a".to_owned(), "b/c".to_owned()], Rule::Null)];
        assert_eq!(rule("{ json = { '/a/b~1c' = 'null' } }"), Ok(Rule::Json { paths, keep_others: false }));
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for wrong in [
            "'?'",
            "1",
            "{}",
            "{ const = 'a', fake = 'name' }",
            "{ fake = 'cat' }",
            "{ const = 'a', others = 'keep' }",
            "{ shift = '1h' }",
            "{ mask = { middle = 1 } }",
            "{ json = { a = 'null' } }",
            "{ json = { '/a/0' = 'null' } }",
            "{ json = { '/a/*/b' = 'null' } }",
            "{ json = { '/a' = 'null' }, others = 'some' }",
        ] {
            assert!(rule(wrong).is_err(), "{wrong}");
        }
    }
}
