//! Whether a database already is what a migration would make of it.
//!
//! Pure: three schemas in, a [`Comparison`] out. `before` and `after` are those of a throwaway database
//! that the migration was run on. What it changes there must be the same in the target; whatever else
//! differs is somebody else's doing, and only told.

use std::collections::BTreeSet;

use squawk_syntax::ast::Stmt;

use crate::error::Kind;
use crate::postgres::schema::Schema;
use crate::schema_change::{self, SchemaChange};
use crate::statement::{Parsed, summary};
use crate::written_rows;

/// How much of a statement a message shows.
const SHOWN_CHARACTERS: usize = 60;

/// Why a version is not recorded as applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The target has something else.
    #[error(
        "version {version} would make something else than the target has: {}, told above",
        crate::report::format::plural(*objects as u64, "difference")
    )]
    NotEqual {
        /// The version.
        version: i64,
        /// How many objects differ.
        objects: usize,
    },
    /// The file writes rows, and a schema does not show whether they are written.
    #[error("line {line} of version {version} does what no schema shows: `{statement}`")]
    Unseen {
        /// The version.
        version: i64,
        /// Line in the up file, from 1.
        line: usize,
        /// The statement's first words.
        statement: String,
    },
    /// The checks of the version do not hold.
    #[error("the checks that are written for version {version} do not hold: {}", failed.join(", "))]
    ChecksFailed {
        /// The version.
        version: i64,
        /// Their names.
        failed: Vec<String>,
    },
    /// The migrations do not run on an empty database.
    #[error(
        "what version {version} makes cannot be seen, because the migrations do not run on an empty database: {reason}"
    )]
    NoSandbox {
        /// The version.
        version: i64,
        /// What went wrong there.
        reason: String,
    },
}

impl ProofError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::Refused
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotEqual { version, .. } => format!(
                "bring the target to what the file makes, or drop what is in the way and migrate; {}",
                forced(*version)
            ),
            Self::Unseen { version, .. } => format!(
                "write a check with `-- since: {version}` that tells whether it is done, and run the same command again; {}",
                forced(*version)
            ),
            Self::ChecksFailed { version, .. } => {
                format!(
                    "do what the file does for these rows by hand, or undo what is in the way and migrate; {}",
                    forced(*version)
                )
            }
            Self::NoSandbox { version, .. } => {
                format!("see with `cargo xtask rehearse` why, and mend it; {}", forced(*version))
            }
        }
    }
}

fn forced(version: i64) -> String {
    format!("`cargo xtask mark-applied {version} --force --reason TEXT` records it all the same, and keeps the reason")
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// How many objects the migration makes, changes or drops.
    pub touched: usize,
    /// Those of them that are something else in the target: the object, or its name and its lines;
    /// `-` is what the migration makes, and `+` what the target has.
    pub different: Vec<Vec<String>>,
    /// What else the target has otherwise than the files say, a phrase each.
    pub elsewhere: Vec<String>,
}

/// Compares what the migration makes with what is there.
#[must_use]
pub fn compare(before: &Schema, after: &Schema, target: &Schema) -> Comparison {
    let touched: BTreeSet<&str> = before.changed_in(after).collect();
    let is_touched = |name: &str| touched.contains(name);
    let (made, there) = (after.of(is_touched), target.of(is_touched));
    let rest = |schema: &Schema| schema.of(|name| !is_touched(name));
    Comparison {
        touched: touched.len(),
        different: schema_change::between(&made, &there).iter().map(SchemaChange::told).collect(),
        elsewhere: rest(before).differences(&rest(target)),
    }
}

/// The first statement whose effect no schema shows.
#[must_use]
pub fn unseen(version: i64, file: &Parsed) -> Option<ProofError> {
    let complaint = |line, text: &str| ProofError::Unseen { version, line, statement: summary(text, SHOWN_CHARACTERS) };
    if file.unparsed.is_some() {
        return Some(complaint(1, &file.text));
    }
    let tree = written_rows::parse(&file.text).tree();
    let parsed = tree.stmts().filter(|statement| !matches!(statement, Stmt::EmptyStmt(_)));
    let found = file.statements.iter().zip(parsed).find(|(_, parsed)| !shows(parsed));
    found.map(|(statement, _)| complaint(statement.line, &statement.sql))
}

/// Whether pg_dump shows what it does, or nothing stays of it. A list of what is known, and not of what
/// is not: a kind of statement that nobody has thought of is not proven.
fn shows(statement: &Stmt) -> bool {
    matches!(
        statement,
        Stmt::AlterDefaultPrivileges(_)
            | Stmt::AlterDomain(_)
            | Stmt::AlterFunction(_)
            | Stmt::AlterIndex(_)
            | Stmt::AlterMaterializedView(_)
            | Stmt::AlterPolicy(_)
            | Stmt::AlterProcedure(_)
            | Stmt::AlterSchema(_)
            | Stmt::AlterStatistics(_)
            | Stmt::AlterTable(_)
            | Stmt::AlterTrigger(_)
            | Stmt::AlterType(_)
            | Stmt::AlterView(_)
            | Stmt::Analyze(_)
            | Stmt::CommentOn(_)
            | Stmt::CreateAggregate(_)
            | Stmt::CreateCast(_)
            | Stmt::CreateCollation(_)
            | Stmt::CreateDomain(_)
            | Stmt::CreateExtension(_)
            | Stmt::CreateFunction(_)
            | Stmt::CreateIndex(_)
            | Stmt::CreateOperator(_)
            | Stmt::CreatePolicy(_)
            | Stmt::CreateProcedure(_)
            | Stmt::CreateRule(_)
            | Stmt::CreateSchema(_)
            | Stmt::CreateSequence(_)
            | Stmt::CreateStatistics(_)
            | Stmt::CreateTable(_)
            | Stmt::CreateTrigger(_)
            | Stmt::CreateType(_)
            | Stmt::CreateView(_)
            | Stmt::DropAggregate(_)
            | Stmt::DropCast(_)
            | Stmt::DropCollation(_)
            | Stmt::DropDomain(_)
            | Stmt::DropExtension(_)
            | Stmt::DropFunction(_)
            | Stmt::DropIndex(_)
            | Stmt::DropMaterializedView(_)
            | Stmt::DropOperator(_)
            | Stmt::DropPolicy(_)
            | Stmt::DropProcedure(_)
            | Stmt::DropRule(_)
            | Stmt::DropSchema(_)
            | Stmt::DropSequence(_)
            | Stmt::DropStatistics(_)
            | Stmt::DropTable(_)
            | Stmt::DropTrigger(_)
            | Stmt::DropType(_)
            | Stmt::DropView(_)
            | Stmt::Grant(_)
            | Stmt::Lock(_)
            | Stmt::Reset(_)
            | Stmt::Revoke(_)
            | Stmt::Set(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(objects: &[(&str, &str)]) -> Schema {
        let dump: String = objects
            .iter()
            .map(|(name, lines)| format!("-- Name: {name}; Type: TABLE; Schema: public; Owner: -\n{lines}\n"))
            .collect();
        Schema::parse(&dump)
    }

    #[test]
    fn what_the_migration_does_not_touch_is_only_told() {
        let before = schema(&[("a", "id int"), ("b", "id int")]);
        let after = schema(&[("a", "id int,\nc text"), ("b", "id int")]);
        let target = schema(&[("a", "id int,\nc text"), ("b", "id bigint"), ("by_hand", "x int")]);
        let found = compare(&before, &after, &target);
        assert_eq!((found.touched, found.different.len()), (1, 0));
        assert_eq!(found.elsewhere, ["changed: TABLE public.b (`id int` → `id bigint`)", "new: TABLE public.by_hand"]);
    }

    #[test]
    fn what_it_makes_must_be_there_line_by_line() {
        let before = schema(&[("a", "id int"), ("old", "x int")]);
        let after = schema(&[("a", "id int,\nc text")]);
        let target = schema(&[("a", "id int,\nc integer"), ("old", "x int")]);
        let found = compare(&before, &after, &target);
        assert_eq!(found.different, [vec!["TABLE public.a", "- c text", "+ c integer"], vec!["+ TABLE public.old"]]);
    }
}
