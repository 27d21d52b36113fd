//! What the files of a plan throw away, by what their statements say: tables, columns, rows.

use std::path::PathBuf;

use squawk_syntax::ast::{AlterTableAction, AstNode, Stmt};

use crate::plan::{Plan, PlannedFile};
use crate::written_rows;

/// Something that a statement throws away. Names are as the file writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The file.
    pub path: PathBuf,
    /// The line in it.
    pub line: usize,
    /// What.
    pub what: Lost,
}

/// See [`Loss`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// A table with all its rows.
    Table(String),
    /// A column with all its values.
    Column {
        /// Of this table.
        table: String,
        /// The column.
        column: String,
    },
    /// A schema; with CASCADE, whatever is in it.
    Schema(String),
    /// Rows of a table, as many as a condition selects.
    Rows(String),
    /// All rows of a table.
    AllRows(String),
}

/// What the files throw away, in the order in which they do.
#[must_use]
pub fn of(plan: &Plan) -> Vec<Loss> {
    plan.files().iter().flat_map(of_file).collect()
}

fn of_file(file: &PlannedFile) -> Vec<Loss> {
    let losses = file.script.statements.iter().flat_map(|statement| {
        let at = |what| Loss { path: file.script.path.clone(), line: statement.line, what };
        of_statement(&statement.sql).into_iter().map(at)
    });
    losses.collect()
}

fn of_statement(sql: &str) -> Vec<Lost> {
    let tree = written_rows::parse(sql).tree();
    tree.stmts().flat_map(|statement| of_parsed(&statement)).collect()
}

fn of_parsed(statement: &Stmt) -> Vec<Lost> {
    match statement {
        Stmt::DropTable(drop) => drop.table_name_refs().map(|name| Lost::Table(text(&name))).collect(),
        Stmt::DropSchema(drop) => drop.schema_refs().map(|name| Lost::Schema(text(&name))).collect(),
        Stmt::Truncate(truncate) => {
            let tables = truncate.table_list().into_iter().flat_map(|list| list.table_relation_names());
            tables.filter_map(|name| name.table_name_ref()).map(|name| Lost::AllRows(text(&name))).collect()
        }
        Stmt::Delete(delete) => {
            let table = delete.relation_name().and_then(|name| name.relation_name_ref());
            table.map(|name| Lost::Rows(text(&name))).into_iter().collect()
        }
        Stmt::AlterTable(alter) => {
            let Some(table) = alter.table_relation_name().and_then(|name| name.table_name_ref()) else {
                return Vec::new();
            };
            let columns = alter.actions().filter_map(|action| match action {
                AlterTableAction::DropColumn(drop) => drop.column_name_ref(),
                _ => None,
            });
            columns.map(|column| Lost::Column { table: text(&table), column: text(&column) }).collect()
        }
        _ => Vec::new(),
    }
}

fn text(node: &impl AstNode) -> String {
    node.syntax().text().to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_thrown_away_is_seen() {
        let column = |table: &str, column: &str| Lost::Column { table: table.into(), column: column.into() };
        for (sql, lost) in [
            (
                "DROP TABLE IF EXISTS a, s.\"B c\" CASCADE;",
                vec![Lost::Table("a".into()), Lost::Table("s.\"B c\"".into())],
            ),
            (
                "ALTER TABLE ONLY \"user\" ALTER x SET NOT NULL, DROP COLUMN image, DROP y;",
                vec![column("\"user\"", "image"), column("\"user\"", "y")],
            ),
            ("DROP SCHEMA aside CASCADE", vec![Lost::Schema("aside".into())]),
            ("TRUNCATE t, u", vec![Lost::AllRows("t".into()), Lost::AllRows("u".into())]),
            ("DELETE FROM t AS x USING u WHERE x.id = u.id", vec![Lost::Rows("t".into())]),
            ("DROP INDEX i; CREATE TABLE a (); ALTER TABLE t DROP CONSTRAINT c", vec![]),
        ] {
            assert_eq!(of_statement(sql), lost, "{sql}");
        }
    }
}
