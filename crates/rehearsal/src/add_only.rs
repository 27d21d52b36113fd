//! Whether a file only adds: what a service may apply while it starts, with replicas of the code of
//! before still running beside it.
//!
//! A list of what is fine, and not of what is not: a kind of statement that nobody has thought of
//! belongs to a release, where somebody looks.

use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{AlterColumnOption, AlterTableAction, AstNode, Stmt};
use squawk_syntax::ast::{CallExpr, ConflictDoUpdateSet, Delete, Merge, Update};

use crate::statement::{Class, Mode, Parsed, Statement, summary};
use crate::written_rows;

/// How much of a statement an objection shows.
const SHOWN_CHARACTERS: usize = 60;

/// What speaks against a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The statement's line in the file, from 1.
    pub line: usize,
    /// Why it may not run while a service starts, with its first words.
    pub reason: String,
}

/// The first statement of a file that does more than to add, or cannot be in one transaction.
#[must_use]
pub fn objection(file: &Parsed) -> Option<Objection> {
    if let Some(unparsed) = &file.unparsed {
        return Some(Objection { line: 1, reason: format!("the parser does not understand it ({unparsed})") });
    }
    let tree = written_rows::parse(&file.text).tree();
    let parsed: Vec<Stmt> = tree.stmts().filter(|statement| !matches!(statement, Stmt::EmptyStmt(_))).collect();
    let found = file.statements.iter().zip(&parsed).find_map(|(statement, parsed)| {
        let reason = reason(&statement.class, parsed)?;
        Some(Objection { line: statement.line, reason: format!("{reason}: `{}`", shown(statement)) })
    });
    found.or_else(|| {
        (file.mode == Mode::Stepwise)
            .then(|| Objection { line: 1, reason: "it asks for no transaction, so it could stop half-way".into() })
    })
}

fn shown(statement: &Statement) -> String {
    summary(&statement.sql, SHOWN_CHARACTERS)
}

fn reason(class: &Class, statement: &Stmt) -> Option<&'static str> {
    match class {
        Class::NonTransactional(_) => return Some("it cannot run in a transaction"),
        Class::Batched(_) => return Some("it runs in batches, which take as long as they take"),
        Class::Transactional => {}
    }
    let node = statement.syntax();
    match statement {
        // Their bodies run later, or whenever they are called.
        Stmt::CreateFunction(_) | Stmt::CreateProcedure(_) | Stmt::CreateTrigger(_) => None,
        Stmt::CreateRule(_) => Some("it changes what statements of running code do"),
        Stmt::CreateAggregate(_)
        | Stmt::CreateCast(_)
        | Stmt::CreateCollation(_)
        | Stmt::CreateDomain(_)
        | Stmt::CreateExtension(_)
        | Stmt::CreateIndex(_)
        | Stmt::CreateOperator(_)
        | Stmt::CreatePolicy(_)
        | Stmt::CreateSchema(_)
        | Stmt::CreateSequence(_)
        | Stmt::CreateStatistics(_)
        | Stmt::CreateTable(_)
        | Stmt::CreateType(_)
        | Stmt::CreateView(_)
        | Stmt::CommentOn(_)
        | Stmt::Grant(_)
        | Stmt::Set(_)
        | Stmt::Analyze(_) => None,
        // Nobody reads what it gives: it is there for what it calls.
        Stmt::Select(_) | Stmt::CompoundSelect(_) | Stmt::Values(_)
            if node.descendants().any(|node| CallExpr::can_cast(node.kind())) =>
        {
            Some("what it calls cannot be seen from outside")
        }
        Stmt::CreateTableAs(_)
        | Stmt::CreateMaterializedView(_)
        | Stmt::Insert(_)
        | Stmt::Select(_)
        | Stmt::SelectInto(_)
        | Stmt::CompoundSelect(_)
        | Stmt::Values(_) => changes_rows(node).then_some("it changes rows that are there"),
        Stmt::Update(_) | Stmt::Delete(_) | Stmt::Merge(_) | Stmt::Truncate(_) => {
            Some("it changes rows that are there")
        }
        Stmt::AlterTable(alter) => alter.actions().find_map(|action| of_alter_table(&action)),
        Stmt::Do(_) | Stmt::Call(_) | Stmt::Execute(_) => Some("what it does cannot be seen from outside"),
        _ => Some("it does more than to add"),
    }
}

fn changes_rows(node: &SyntaxNode) -> bool {
    node.descendants().any(|node| {
        let kind = node.kind();
        Update::can_cast(kind) || Delete::can_cast(kind) || Merge::can_cast(kind) || ConflictDoUpdateSet::can_cast(kind)
    })
}

fn of_alter_table(action: &AlterTableAction) -> Option<&'static str> {
    match action {
        AlterTableAction::AddColumn(_)
        | AlterTableAction::AddConstraint(_)
        | AlterTableAction::ValidateConstraint(_)
        | AlterTableAction::AttachPartition(_)
        | AlterTableAction::EnableTrigger(_)
        | AlterTableAction::SetOptions(_) => None,
        AlterTableAction::AlterColumn(column) => match column.option() {
            Some(
                AlterColumnOption::SetDefault(_)
                | AlterColumnOption::DropNotNull(_)
                | AlterColumnOption::SetNotNull(_)
                | AlterColumnOption::SetStatistics(_),
            ) => None,
            Some(AlterColumnOption::SetType(_)) => Some("it changes the type of a column, and with it all rows"),
            _ => Some("it does more than to add"),
        },
        AlterTableAction::DropColumn(_) => Some("it destroys data"),
        AlterTableAction::RenameColumn(_) | AlterTableAction::TableRenameTo(_) => {
            Some("it takes away a name that running code may use")
        }
        _ => Some("it does more than to add"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Script;
    use std::sync::Arc;

    fn objection_to(sql: &str) -> Option<Objection> {
        let script = Script {
            path: "1_a.up.sql".into(),
            sql: sql.into(),
            no_transaction: sql.starts_with("-- no-transaction"),
            checksum: Vec::new(),
            parsed: Arc::default(),
        };
        objection(&crate::statement::parse(&script).expect("it is supported"))
    }

    #[test]
    fn what_only_adds_is_fine() {
        for sql in [
            "",
            "ALTER TABLE t ADD COLUMN a boolean NOT NULL DEFAULT false, ALTER COLUMN b SET DEFAULT 1;",
            "ALTER TABLE t ALTER COLUMN a DROP NOT NULL; ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;",
            "CREATE TABLE t (id int); CREATE UNIQUE INDEX i ON t (id) WHERE id > 1; COMMENT ON TABLE t IS 'x';",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t; RETURN NEW; END $$;",
            "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM t; END;",
            "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();",
            "INSERT INTO t VALUES (1, lower('A')) ON CONFLICT DO NOTHING; SELECT 1;",
            "SET LOCAL search_path = a; CREATE OR REPLACE VIEW v AS SELECT 1 AS delete;",
        ] {
            assert_eq!(objection_to(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_does_more_is_named_with_its_line() {
        for (sql, line, words) in [
            ("CREATE TABLE t (id int);\nDROP TABLE u;", 2, "does more than to add: `DROP TABLE u`"),
            ("DROP SCHEMA s CASCADE;", 1, "does more than to add"),
            ("ALTER TABLE t ADD COLUMN a int, DROP COLUMN b;", 1, "destroys data"),
            ("ALTER TABLE t ALTER COLUMN a TYPE bigint;", 1, "type of a column"),
            ("ALTER TABLE t RENAME TO u;", 1, "takes away a name"),
            ("ALTER TABLE t RENAME COLUMN a TO b;", 1, "takes away a name"),
            ("ALTER TYPE e RENAME VALUE 'a' TO 'b';", 1, "does more than to add"),
            ("TRUNCATE t;", 1, "changes rows"),
            ("\n\nUPDATE t SET a = 1;", 3, "changes rows"),
            ("DELETE FROM t;", 1, "changes rows"),
            ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x;", 1, "changes rows"),
            ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1;", 1, "changes rows"),
            ("DO $$ BEGIN DROP TABLE t; END $$;", 1, "cannot be seen from outside"),
            ("CREATE TABLE t (id int);\nSELECT empty_all_tables();", 2, "cannot be seen from outside"),
            ("SELECT 1 UNION ALL SELECT 1 + f(2);", 1, "cannot be seen from outside"),
            ("VALUES (f());", 1, "cannot be seen from outside"),
            ("CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING;", 1, "running code"),
            ("-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (a);", 2, "cannot run in a transaction"),
            ("UPDATE t SET a = 1 WHERE /* batch: t.id */ TRUE;", 1, "runs in batches"),
            ("-- no-transaction\nCREATE TABLE t (id int);", 1, "no transaction"),
            ("CREATE TABEL t (id int);", 1, "parser"),
        ] {
            let found = objection_to(sql).unwrap_or_else(|| panic!("refused: {sql}"));
            assert_eq!(found.line, line, "{sql}");
            assert!(found.reason.contains(words), "{sql}: {}", found.reason);
        }
    }
}
