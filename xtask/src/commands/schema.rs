//! `schema`: the JSON Schema of what programs read and editors check.

use std::io::Write;

use crate::cli::SchemaOf;
use crate::out;

pub fn run(of: SchemaOf) -> anyhow::Result<()> {
    let schema = match of {
        SchemaOf::Record => rehearsal::json_schema::record(),
        SchemaOf::Event => rehearsal::json_schema::event(),
        SchemaOf::Config => rehearsal::json_schema::config(),
    };
    let mut out = out::stdout();
    serde_json::to_writer_pretty(&mut out, &schema)?;
    writeln!(out)?;
    Ok(())
}
