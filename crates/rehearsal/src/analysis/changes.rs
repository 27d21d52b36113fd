//! Which objects a plan makes, takes away or renames, by what its statements say: what is there now, and what
//! after it.

use serde::Serialize;
use squawk_syntax::ast::{AlterColumnOption, AlterTableAction, AstNode, Constraint, Stmt};
use squawk_syntax::{SyntaxKind, SyntaxNode, ast};

use super::syntax::{all, text};
use crate::plan::Plan;
use crate::written_rows;

/// Words between CREATE or DROP and a name that are no kind of object.
const FILLERS: [&str; 16] = [
    "or",
    "replace",
    "unique",
    "concurrently",
    "if",
    "not",
    "exists",
    "temp",
    "temporary",
    "unlogged",
    "global",
    "local",
    "recursive",
    "constraint",
    "trusted",
    "procedural",
];

/// Kinds of objects, as their statements call them.
const KINDS: [&str; 17] = [
    "aggregate",
    "collation",
    "domain",
    "extension",
    "foreign",
    "function",
    "index",
    "materialized",
    "policy",
    "procedure",
    "rule",
    "schema",
    "sequence",
    "statistics",
    "table",
    "trigger",
    "type",
];

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What is there now; nothing where it is new.
    pub now: Option<String>,
    /// What is there after it; nothing where it is gone.
    pub after: Option<String>,
    /// The file.
    pub path: String,
    /// The line in it, from 1.
    pub line: usize,
}

/// What the files change, in the order in which they do.
#[must_use]
pub fn of(plan: &Plan) -> Vec<Change> {
    let mut changes = Vec::new();
    for file in plan.files() {
        for statement in &file.script.statements {
            let path = file.script.path.display().to_string();
            let at = |(now, after)| Change { now, after, path: path.clone(), line: statement.line };
            changes.extend(of_statement(&statement.sql).into_iter().map(at));
        }
    }
    changes
}

type Pair = (Option<String>, Option<String>);

fn gone(object: String) -> Pair {
    (Some(object), None)
}

fn new(object: String) -> Pair {
    (None, Some(object))
}

fn of_statement(sql: &str) -> Vec<Pair> {
    let parsed = written_rows::parse(sql);
    if !parsed.errors().is_empty() {
        return Vec::new();
    }
    parsed.tree().stmts().flat_map(|statement| of_parsed(&statement)).collect()
}

fn of_parsed(statement: &Stmt) -> Vec<Pair> {
    if let Stmt::AlterTable(alter) = statement {
        let Some(table) = alter.table_relation_name().and_then(|name| name.table_name_ref()) else { return Vec::new() };
        return alter.actions().flat_map(|action| of_action(&text(&table), &action)).collect();
    }
    let words = words(statement.syntax());
    match words.first().map(|word| word.to_lowercase()).as_deref() {
        Some("drop") => objects(&words[1..], true).into_iter().map(gone).collect(),
        Some("create") => objects(&words[1..], false).into_iter().map(new).collect(),
        _ => Vec::new(),
    }
}

fn words(node: &SyntaxNode) -> Vec<String> {
    let tokens = node.descendants_with_tokens().filter_map(|element| element.into_token());
    let told = tokens.filter(|token| !matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT));
    told.map(|token| token.text().to_owned()).collect()
}

/// `table a`, `table b` of the words `TABLE IF EXISTS a, b CASCADE`. What is made has one name, which ends
/// where its definition begins.
fn objects(words: &[String], drops: bool) -> Vec<String> {
    let mut kind: Vec<String> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next_if(|word| {
        let word = word.to_lowercase();
        FILLERS.contains(&word.as_str())
            || word == "view"
            || (KINDS.contains(&word.as_str()) && kind.last().is_none_or(|last| last == "foreign"))
    }) {
        let word = word.to_lowercase();
        if !FILLERS.contains(&word.as_str()) {
            kind.push(word);
        }
    }
    if kind.is_empty() {
        return Vec::new();
    }
    let kind = kind.join(" ");
    let mut names = vec![String::new()];
    let mut depth = 0_usize;
    let on_something = ["trigger", "policy", "rule"].contains(&kind.as_str());
    let mut earlier = String::new();
    for word in words {
        let lower = word.to_lowercase();
        if depth == 0 && (["cascade", "restrict", ";"].contains(&lower.as_str())) {
            break;
        }
        let is_name =
            earlier.is_empty() || [".", ","].contains(&earlier.as_str()) || [".", ","].contains(&word.as_str());
        if !drops && !is_name && depth == 0 && word != "(" {
            break;
        }
        if !drops && word == "(" {
            break;
        }
        depth = match word.as_str() {
            "(" => depth + 1,
            ")" => depth.saturating_sub(1),
            _ => depth,
        };
        if word == "," && depth == 0 {
            names.push(String::new());
        } else if let Some(name) = names.last_mut() {
            if lower == "on" && on_something {
                name.push_str(" on ");
            } else {
                name.push_str(word);
            }
            if word == "," {
                name.push(' ');
            }
        }
        earlier = word.clone();
    }
    // An index without a name.
    let named = names.into_iter().filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("on"));
    named.map(|name| format!("{kind} {name}")).collect()
}

fn of_action(table: &str, action: &AlterTableAction) -> Vec<Pair> {
    let column = |name: String| format!("column {table}.{name}");
    let named = |node: &SyntaxNode| all::<ast::ConstraintName>(node).next().map(|name| text(&name));
    let pair = match action {
        AlterTableAction::DropColumn(drop) => drop.column_name_ref().map(|name| gone(column(text(&name)))),
        AlterTableAction::AddColumn(add) => add.column_name().map(|name| new(column(text(&name)))),
        AlterTableAction::DropConstraint(drop) => all::<ast::ConstraintNameRef>(drop.syntax())
            .next()
            .map(|name| gone(format!("constraint {} on {table}", text(&name)))),
        AlterTableAction::AddConstraint(add) => add.constraint().as_ref().map(Constraint::syntax).map(|constraint| {
            new(named(constraint)
                .map_or_else(|| format!("a constraint on {table}"), |name| format!("constraint {name} on {table}")))
        }),
        AlterTableAction::TableRenameTo(rename) => all::<ast::TableName>(rename.syntax())
            .next()
            .map(|name| (Some(format!("table {table}")), Some(format!("table {}", text(&name))))),
        AlterTableAction::RenameColumn(rename) => rename
            .column_name_ref()
            .zip(rename.column_name())
            .map(|(from, to)| (Some(column(text(&from))), Some(column(text(&to))))),
        AlterTableAction::AlterColumn(alter) => alter.column_name_ref().and_then(|name| {
            let column = column(text(&name));
            let (now, after) = match alter.option()? {
                AlterColumnOption::SetNotNull(_) => ("may be NULL".to_owned(), "NOT NULL".to_owned()),
                AlterColumnOption::DropNotNull(_) => ("NOT NULL".into(), "may be NULL".into()),
                AlterColumnOption::SetType(change) => ("as it is".into(), format!("type {}", text(&change.ty()?))),
                AlterColumnOption::SetDefault(set) => ("as it is".into(), format!("default {}", text(&set.expr()?))),
                AlterColumnOption::DropDefault(_) => ("default".into(), "no default".into()),
                _ => return None,
            };
            Some((Some(format!("{column}: {now}")), Some(after)))
        }),
        _ => None,
    };
    pair.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_and_comes_is_seen() {
        for (sql, expected) in [
            ("DROP TABLE IF EXISTS a, s.\"B c\" CASCADE;", &["table a →", "table s.\"B c\" →"][..]),
            ("DROP INDEX CONCURRENTLY IF EXISTS i;", &["index i →"]),
            ("DROP FUNCTION f(bigint, text), g", &["function f(bigint, text) →", "function g →"]),
            ("DROP TRIGGER t ON \"user\"", &["trigger t on \"user\" →"]),
            ("DROP MATERIALIZED VIEW m", &["materialized view m →"]),
            ("CREATE VIEW users AS SELECT 1", &["→ view users"]),
            ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", &["→ index i"]),
            ("CREATE INDEX ON t (a)", &[]),
            ("CREATE TABLE s.a (b int, c int)", &["→ table s.a"]),
            ("CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", &["→ function f"]),
            ("ALTER TABLE \"user\" RENAME TO users", &["table \"user\" → table users"]),
            (
                "ALTER TABLE t DROP COLUMN a, ALTER b SET NOT NULL, ADD CONSTRAINT c CHECK (b > 0)",
                &["column t.a →", "column t.b: may be NULL → NOT NULL", "→ constraint c on t"],
            ),
            ("ALTER TABLE t RENAME a TO b", &["column t.a → column t.b"]),
            ("UPDATE t SET a = 1; SELECT 1", &[]),
        ] {
            let show = |(now, after): Pair| format!("{} → {}", now.unwrap_or_default(), after.unwrap_or_default());
            let shown: Vec<String> = of_statement(sql).into_iter().map(|pair| show(pair).trim().to_owned()).collect();
            assert_eq!(shown, expected, "{sql}");
        }
    }
}
