//! What cannot be part of a migration, told by the first words of a statement: what only psql can do, what
//! ends the transaction that the file is, and what takes the session's locks or limits away.

use crate::outline::{Copies, Rough};

/// What stands there, and what to write instead.
pub(crate) type Objection = (String, &'static str);

const TRANSACTION: &[&[&str]] = &[
    &["BEGIN"],
    &["START", "TRANSACTION"],
    &["COMMIT"],
    &["END"],
    &["ABORT"],
    &["ROLLBACK"],
    &["PREPARE", "TRANSACTION"],
];

const CHARACTERISTICS: &[&[&str]] =
    &[&["SET", "TRANSACTION"], &["SET", "LOCAL", "TRANSACTION"], &["SET", "SESSION", "CHARACTERISTICS"]];

/// What is taken back to, and stays in the transaction.
const TO_A_SAVEPOINT: &[&[&str]] =
    &[&["ROLLBACK", "TO"], &["ROLLBACK", "WORK", "TO"], &["ROLLBACK", "TRANSACTION", "TO"]];

const SAVEPOINT: &[&[&str]] = &[&["SAVEPOINT"], &["RELEASE"]];

const ROLE: &[&[&str]] = &[
    &["SET", "ROLE"],
    &["SET", "LOCAL", "ROLE"],
    &["SET", "SESSION", "ROLE"],
    &["SET", "SESSION", "AUTHORIZATION"],
    &["SET", "LOCAL", "SESSION", "AUTHORIZATION"],
];

/// The settings that limit how long others wait for us.
const LIMITS: [&str; 2] = ["lock_timeout", "statement_timeout"];

/// What to write in their place.
pub(crate) const LIMIT_DIRECTIVE: &str =
    "`-- rehearsal: lock_timeout=5s` (or statement_timeout) above the first statement sets the file's own limit";

fn any(statement: &Rough<'_>, of: &[&[&str]]) -> bool {
    of.iter().any(|words| statement.begins(words))
}

/// Why a statement cannot be part of any migration.
pub(crate) fn objection(statement: &Rough<'_>) -> Option<Objection> {
    match statement.copies {
        Some(Copies::In) => {
            return Some((
                "COPY … FROM stdin with its data in the file, which only psql can read".into(),
                "write the rows as INSERT statements",
            ));
        }
        Some(Copies::Out) => {
            return Some(("COPY … TO stdout, which nobody here reads".into(), "remove it: a migration has no output"));
        }
        None => {}
    }
    if any(statement, TRANSACTION) && !any(statement, TO_A_SAVEPOINT) {
        return Some((
            "transaction control inside of a migration; sqlx would commit half of the file and then fail".into(),
            "remove it: a file is one transaction already, and with `-- no-transaction` each statement is one",
        ));
    }
    if any(statement, CHARACTERISTICS) {
        return Some((
            "the kind of transaction is set, which is the run's to choose".into(),
            "remove it: a file runs as READ COMMITTED, and is tried again where others got in its way",
        ));
    }
    if statement.begins(&["DISCARD", "ALL"]) || statement.begins(&["DEALLOCATE", "ALL"]) {
        return Some((
            format!(
                "{} {}, which takes the locks or the statements of the run itself away",
                statement.words[0].to_uppercase(),
                statement.words[1].to_uppercase()
            ),
            "leave it out: a file's settings end with the file",
        ));
    }
    None
}

/// Whether it is about savepoints, which are of one transaction.
pub(crate) fn is_savepoint(statement: &Rough<'_>) -> bool {
    any(statement, SAVEPOINT) || any(statement, TO_A_SAVEPOINT)
}

const IN_ONE_TRANSACTION: &[&[&str]] = &[&["SET", "LOCAL"], &["SET", "CONSTRAINTS"], &["LOCK"], &["DECLARE"]];

const OF_ONE_SESSION: &[&[&str]] = &[
    &["CREATE", "TEMP"],
    &["CREATE", "TEMPORARY"],
    &["CREATE", "LOCAL", "TEMP"],
    &["CREATE", "LOCAL", "TEMPORARY"],
    &["CREATE", "GLOBAL", "TEMP"],
    &["CREATE", "GLOBAL", "TEMPORARY"],
    &["CREATE", "OR", "REPLACE", "TEMP"],
    &["CREATE", "OR", "REPLACE", "TEMPORARY"],
    &["PREPARE"],
];

/// What is lost where each statement is a transaction of its own, or where another run takes the file up:
/// what it is, and what to write instead.
pub(crate) fn needs_one_transaction(statement: &Rough<'_>) -> Option<(&'static str, &'static str)> {
    let apart = "put it, with what it is for, into a migration of its own, which is one transaction";
    if any(statement, IN_ONE_TRANSACTION) {
        return Some(("what holds until the end of its transaction, and no longer,", apart));
    }
    if any(statement, OF_ONE_SESSION) {
        return Some(("what is gone with the session", "use a table of its own, and drop it at the end of the file"));
    }
    statement.sets_config.then_some((
        "set_config, which a run that takes the file up would not repeat,",
        "write SET instead: it is repeated",
    ))
}

/// Whether it goes on in another role.
pub(crate) fn is_role(statement: &Rough<'_>) -> bool {
    any(statement, ROLE)
}

/// The limit that it sets or resets, if it does.
pub(crate) fn limit<'a>(statement: &Rough<'a>) -> Option<&'a str> {
    let [verb, first, second, _] = statement.words;
    let name = match () {
        () if !verb.eq_ignore_ascii_case("SET") && !verb.eq_ignore_ascii_case("RESET") => return None,
        () if first.eq_ignore_ascii_case("LOCAL") || first.eq_ignore_ascii_case("SESSION") => second,
        () => first,
    };
    LIMITS.iter().any(|limit| name.trim_matches('"').eq_ignore_ascii_case(limit)).then_some(name)
}

/// Why a line that begins with a backslash cannot be part of a migration.
pub(crate) fn command(text: &str) -> Objection {
    let name = text.split_whitespace().next().unwrap_or(text);
    let instead = match name.trim_end_matches('+') {
        "\\i" | "\\ir" | "\\include" | "\\include_relative" => "put the text of that file in its place",
        "\\c" | "\\connect" => "remove it: a migration runs on the target's own database",
        "\\set" | "\\unset" | "\\gset" | "\\getenv" | "\\prompt" => {
            "write the value itself: there are no psql variables"
        }
        "\\copy" | "\\." => "write the rows as INSERT statements",
        "\\g" | "\\gx" | "\\gexec" => "end the statement with a semicolon; what \\gexec runs, a DO block can EXECUTE",
        "\\if" | "\\elif" | "\\else" | "\\endif" => "decide in SQL: a DO block has IF",
        _ => "remove the line",
    };
    (format!("`{name}` is a command of psql, not SQL"), instead)
}
