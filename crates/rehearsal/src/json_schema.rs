//! JSON Schemas of what other programs read and what editors check, made from the types themselves.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::config::Config;
use crate::event::Event;
use crate::record::Record;

/// The record of a run, as it is written: JSON Schema 2020-12.
#[must_use]
pub fn record() -> Schema {
    let mut schema = written::<Record>();
    title(&mut schema, "The record of a run");
    schema
}

/// An event, as `--json` writes one a line: JSON Schema 2020-12.
#[must_use]
pub fn event() -> Schema {
    let mut schema = written::<Event>();
    title(&mut schema, "An event of a run");
    schema
}

/// `rehearsal.toml`: JSON Schema draft 7, which the editors' TOML extensions read.
#[must_use]
pub fn config() -> Schema {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Config>();
    tidy(&mut schema);
    describe_own_limits(&mut schema);
    title(&mut schema, "rehearsal.toml");
    schema
}

fn written<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    tidy(&mut schema);
    schema
}

fn title(schema: &mut Schema, title: &str) {
    schema.insert("title".into(), title.into());
}

/// Descriptions are for people who do not read Rust: without the brackets of its links, and without line ends.
fn tidy(schema: &mut Schema) {
    RecursiveTransform(|schema: &mut Schema| {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ");
        }
    })
    .transform(schema);
}

/// The limits of a target are those of all targets: what they mean is written down there.
fn describe_own_limits(schema: &mut Schema) {
    let Some(definitions) = schema.get_mut("definitions").and_then(Value::as_object_mut) else { return };
    let Some(of_all) = definitions.get("Limits").map(|limits| limits["properties"].clone()) else { return };
    let own = definitions.get_mut("OwnLimits").and_then(|limits| limits["properties"].as_object_mut());
    for (name, field) in own.into_iter().flatten() {
        if let (Some(field), Some(text)) = (field.as_object_mut(), of_all[name].get("description")) {
            field.insert("description".into(), text.clone());
        }
    }
}
