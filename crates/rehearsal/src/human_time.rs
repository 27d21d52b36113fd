//! How a stretch of time is written in `rehearsal.toml`, for its JSON Schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The units that humantime reads; numbers with units follow each other.
const PATTERN: &str = "^(0|(\\s*[0-9]+\\s*(nsec|ns|usec|us|µs|msec|ms|millis|seconds|second|secs|sec|s|minutes|minute|mins|min|m|\
     hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y))+\\s*)$";

/// Stands for a [`std::time::Duration`] that is written like `200ms` or `1h 30min`.
pub(crate) struct HumanTime;

impl JsonSchema for HumanTime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "examples": ["200ms", "30s", "5min", "1h 30min"] })
    }
}
