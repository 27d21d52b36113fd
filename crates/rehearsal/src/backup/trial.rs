//! pg_restore, with the words of what it stumbles over.

use std::path::Path;

use super::restore;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::postgres::archive::Archive;
use crate::postgres::schema::Schema;
use crate::postgres::strays::Stray;
use crate::postgres::tools::{Invocation, ToolError, Tools};
use crate::target::Target;

/// What a throwaway server cannot have or must not have; all else that a restore stumbles over is an error.
/// Tablespaces are folders of the target's own machine, a security label needs its provider loaded, and a
/// subscription names another server with its password.
pub(super) const NOT_IN_A_SANDBOX: &[&str] = &["--no-tablespaces", "--no-security-labels", "--no-subscriptions"];

/// The same, for people.
pub(super) const NOT_COMPARED: &str = "tablespaces, security labels and subscriptions";

/// Where the sandbox is at fault and not the dump: no room, no connection, a library or locale that it lacks.
const OF_THE_SANDBOX: &[&str] = &[
    "No space left on device",
    "Disk quota exceeded",
    // A file system that took a part of a block says nothing of its room (mdextend in md.c).
    "could not extend file",
    "out of shared memory",
    "server closed the connection",
    "could not connect",
    "connection to server",
    "terminating connection",
    "could not access file",
    "could not load library",
    "could not open extension control file",
    "is not available",
    "the database system is",
    // A locale of the target's machine that this one has not.
    "could not create locale",
    "could not open collator",
    "for encoding \"",
];

/// More words than the head of any statement of a dump has.
const COMMAND_WORDS: usize = 16;

/// How a restore of a dump ended.
pub(super) enum Restored {
    /// All of it is there.
    Whole,
    /// The server does not take what the dump says: why, in words.
    Refused(String),
}

/// Runs pg_restore on a dump without a server, and gives what it writes.
///
/// # Errors
/// pg_restore's complaint.
pub(super) async fn from_archive(cx: &Context, tools: &Tools, dump: &Path, arguments: &[String]) -> Result<String> {
    let mut arguments = arguments.to_vec();
    arguments.push(dump.display().to_string());
    let invocation = Invocation {
        program: "pg_restore",
        arguments: &arguments,
        target: cx.target()?,
        purpose: "list",
        folder: dump.parent(),
        list: None,
    };
    let output = tools.run(&invocation, &cx.cancel).await?;
    Ok(text(output))
}

/// What a program wrote. Where that is not UTF-8, which only a database without an encoding may have, each byte is a
/// character: two texts are the same if their bytes are.
pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().iter().map(|&byte| char::from(byte)).collect())
}

/// Restores a dump into an empty database of a sandbox, with owners and grants. The first error ends it.
///
/// # Errors
/// What says nothing about the dump: no room, a lost connection, the user's wish to stop.
pub(super) async fn restore(
    cx: &Context,
    tools: &Tools,
    dump: &Path,
    into: &Target,
    schema: &Schema,
    strays: &[Stray],
) -> Result<Restored> {
    let jobs = cx.workspace.config.backup.jobs.max(1);
    let archive = Archive { tools, dump, entries: None };
    match restore::run_in_sandbox(&archive, into, jobs, &cx.cancel).await {
        Ok(()) => Ok(Restored::Whole),
        Err(Error::Tool(ToolError::Failed { stderr, .. })) if is_of_the_dump(&stderr) => {
            Ok(Restored::Refused(explain(&stderr, schema, strays)))
        }
        Err(error) => Err(error),
    }
}

/// Only what the server said to a statement of the dump tells something about the dump.
fn is_of_the_dump(stderr: &str) -> bool {
    stderr.contains("ERROR:") && !OF_THE_SANDBOX.iter().any(|words| stderr.contains(words))
}

/// The object, what the server said, and why that is.
fn explain(stderr: &str, schema: &Schema, strays: &[Stray]) -> String {
    let after = |start: &str| stderr.lines().find_map(|line| Some(line.split_once(start)?.1.trim()));
    let table = || after("COPY failed for table ").and_then(|rest| Some(format!("table {}", rest.split_once(": ")?.0)));
    let object = command(stderr).or_else(table).unwrap_or_else(|| "the dump".into());
    let said = after("ERROR:").unwrap_or("the server refused it");
    let mut text = format!("{object} cannot be restored: {said}");
    if let Some(context) = after("CONTEXT:") {
        text.push_str(&format!(
            " (in {})",
            context.trim_end_matches(" during inlining").trim_end_matches(" during startup")
        ));
    }
    let Some(name) = missing(said) else { return text };
    if let Some(stray) = strays.iter().find(|stray| stray.bare_name() == name) {
        text.push_str(&format!(
            "; the {stray} was created in {}, which no dump holds: create it in a schema of your own",
            stray.schema
        ));
    } else if schema.iter().any(|(object, _)| object.split(['(', ';']).next() == Some(name)) {
        text.push_str(&format!(
            "; `{name}` is there, but only a search_path finds it, and a restore has none: write its schema before its \
             name, or give the function that uses it a `SET search_path`"
        ));
    }
    text
}

/// What the statement makes: `CREATE INDEX i ON t USING …` as `INDEX i ON t`. What follows may be long, and
/// options may hold a password.
fn command(stderr: &str) -> Option<String> {
    let (_, command) = stderr.split_once("Command was: ")?;
    let command = command.split_whitespace().take(COMMAND_WORDS).collect::<Vec<_>>().join(" ");
    let end =
        [" (", " AS ", " RETURNS ", " USING ", " OPTIONS", " CONNECTION"].iter().filter_map(|word| command.find(word));
    let head = &command[..end.min().unwrap_or(command.len())];
    Some(head.strip_prefix("CREATE ").unwrap_or(head).trim_end_matches(';').to_owned())
}

/// The name of what "does not exist", without schema, quotes and arguments.
fn missing(said: &str) -> Option<&str> {
    let what = said.strip_suffix(" does not exist")?;
    let kinds = ["function ", "relation ", "type ", "procedure ", "aggregate ", "text search configuration "];
    let name = kinds.iter().find_map(|kind| what.strip_prefix(kind))?;
    let name = name.split('(').next()?.trim_matches('"');
    Some(name.rsplit('.').next().unwrap_or(name).trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STDERR: &str = "pg_restore: error: could not execute query: ERROR:  function helper(integer) does not exist\n\
        HINT:  No function matches.\nQUERY:  SELECT helper($1)\n\
        CONTEXT:  SQL function \"outer\" during inlining\n\
        Command was: CREATE INDEX t_x_idx ON public.t USING btree (public.outer(x));\n";

    #[test]
    fn a_search_path_is_named() {
        let schema = Schema::parse(
            "-- Name: helper(integer); Type: FUNCTION; Schema: public; Owner: me\n--\n\nCREATE FUNCTION public.helper\n",
        );
        assert_eq!(
            explain(STDERR, &schema, &[]),
            "INDEX t_x_idx ON public.t cannot be restored: function helper(integer) does not exist (in SQL function \"outer\"); \
             `helper` is there, but only a search_path finds it, and a restore has none: write its schema before its \
             name, or give the function that uses it a `SET search_path`"
        );
    }

    #[test]
    fn a_stray_is_named() {
        let stray = Stray { kind: "function".into(), name: "helper(integer)".into(), schema: "pg_catalog".into() };
        let text = explain(STDERR, &Schema::default(), &[stray]);
        assert!(text.ends_with("; the function helper(integer) was created in pg_catalog, which no dump holds: create it in a schema of your own"), "{text}");
    }

    #[test]
    fn what_the_sandbox_lacks_says_nothing_about_the_dump() {
        assert!(is_of_the_dump(STDERR));
        for said in [
            "could not execute query: ERROR:  extension \"postgis\" is not available",
            "COPY failed for table \"t\": ERROR:  could not extend file \"base/1\": No space left on device",
            "error: server closed the connection unexpectedly",
            "could not execute query: ERROR:  collation \"de_DE\" for encoding \"UTF8\" does not exist",
        ] {
            assert!(!is_of_the_dump(&format!("pg_restore: error: {said}")), "{said}");
        }
    }
}
