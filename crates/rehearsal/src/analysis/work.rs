//! Which tables a statement writes anew or reads from end to end, by PostgreSQL's rules.
//!
//! Source: the documentation of each command, for ALTER TABLE its section "Notes". What depends on the
//! tables as they are (the type that a column has, a constraint that proves what is asked for) is a "may".

use serde::Serialize;
use squawk_syntax::ast::{
    self, AlterColumnOption, AlterTableAction, AstNode, Constraint, ConstraintOption, GeneratedAs, Stmt,
};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::syntax::{all, folded, has_token, text};
use super::type_change::TypeChange;
use crate::written_rows;

/// Functions whose value is another one for each row; a default that calls one writes every row.
const VOLATILE: [&str; 12] = [
    "clock_timestamp",
    "currval",
    "gen_random_bytes",
    "gen_random_uuid",
    "lastval",
    "nextval",
    "random",
    "timeofday",
    "uuid_generate_v1",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
];

/// Functions that are evaluated once, and kept for all rows that are there.
const STABLE: [&str; 15] = [
    "array_agg",
    "coalesce",
    "concat",
    "current_database",
    "current_setting",
    "date_trunc",
    "jsonb_build_array",
    "jsonb_build_object",
    "lower",
    "make_interval",
    "now",
    "statement_timestamp",
    "to_timestamp",
    "transaction_timestamp",
    "upper",
];

/// What is done with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All of its rows are written anew.
    Rewrites,
    /// All of its rows are read.
    Reads,
}

/// Something that takes as long as a table is big.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effort {
    /// The table, as the statement writes it.
    pub relation: String,
    /// What is done with it.
    pub kind: Kind,
    /// It is not certain, and this is what it depends on.
    pub unless: Option<&'static str>,
    /// It depends on the type that this column has.
    pub change: Option<TypeChange>,
}

/// What a statement's text tells of it.
#[must_use]
pub fn of(sql: &str) -> Vec<Effort> {
    let parsed = written_rows::parse(sql);
    if !parsed.errors().is_empty() {
        return Vec::new();
    }
    let mut efforts: Vec<Effort> = parsed.tree().stmts().flat_map(|statement| of_parsed(&statement)).collect();
    // To write all rows is to read them.
    let rewritten: Vec<String> =
        efforts.iter().filter(|effort| is_certain_rewrite(effort)).map(|effort| effort.relation.clone()).collect();
    efforts.retain(|effort| is_certain_rewrite(effort) || !rewritten.contains(&effort.relation));
    efforts.dedup();
    efforts
}

fn is_certain_rewrite(effort: &Effort) -> bool {
    effort.kind == Kind::Rewrites && effort.unless.is_none()
}

fn rewrites(relation: impl Into<String>) -> Effort {
    Effort { relation: relation.into(), kind: Kind::Rewrites, unless: None, change: None }
}

fn reads(relation: impl Into<String>) -> Effort {
    Effort { relation: relation.into(), kind: Kind::Reads, unless: None, change: None }
}

fn of_parsed(statement: &Stmt) -> Vec<Effort> {
    let name = |table: Option<ast::TableRelationName>| Some(text(&table?.table_name_ref()?));
    match statement {
        Stmt::CreateIndex(create) => name(create.table_relation_name()).map(reads).into_iter().collect(),
        Stmt::AlterTable(alter) => {
            let Some(table) = name(alter.table_relation_name()) else { return Vec::new() };
            alter.actions().flat_map(|action| of_action(&table, &action)).collect()
        }
        Stmt::Cluster(cluster) => {
            let table = all::<ast::TableNameRef>(cluster.syntax()).next();
            table.map(|table| rewrites(text(&table))).into_iter().collect()
        }
        Stmt::Vacuum(vacuum) => {
            let full = has_token(vacuum.syntax(), SyntaxKind::FULL_KW);
            let entries = vacuum.table_and_columns_list().into_iter().flat_map(|list| list.table_and_columnss());
            let tables = entries.filter_map(|entry| name(entry.table_relation_name()));
            tables.map(|table| if full { rewrites(table) } else { reads(table) }).collect()
        }
        Stmt::Refresh(refresh) => {
            let empties = has_token(refresh.syntax(), SyntaxKind::NO_KW) || refresh.concurrently_token().is_some();
            refresh.view_ref().filter(|_| !empties).map(|view| rewrites(text(&view))).into_iter().collect()
        }
        Stmt::Reindex(reindex) => {
            let table = all::<ast::TableNameRef>(reindex.syntax()).next();
            table.map(|table| reads(text(&table))).into_iter().collect()
        }
        // Which rows a statement looks at is the planner's business; without a condition it is all of them.
        Stmt::Update(update) => {
            let table = update.relation_name().and_then(|name| name.relation_name_ref()).map(|name| text(&name));
            let unless = narrowed(update.where_clause_or_current_of().as_ref().map(AstNode::syntax));
            table.map(|table| Effort { unless, ..reads(table) }).into_iter().collect()
        }
        Stmt::Delete(delete) => {
            let table = delete.relation_name().and_then(|name| name.relation_name_ref()).map(|name| text(&name));
            let unless = narrowed(delete.where_clause_or_current_of().as_ref().map(AstNode::syntax));
            table.map(|table| Effort { unless, ..reads(table) }).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn narrowed(condition: Option<&SyntaxNode>) -> Option<&'static str> {
    condition.map(|_| "an index leads to the rows of its condition")
}

fn of_action(table: &str, action: &AlterTableAction) -> Vec<Effort> {
    match action {
        AlterTableAction::AddColumn(column) => of_new_column(table, column),
        AlterTableAction::AddConstraint(add) => add.constraint().map_or_else(Vec::new, |it| of_constraint(table, &it)),
        AlterTableAction::AlterColumn(column) => match column.option() {
            Some(AlterColumnOption::SetType(change)) => of_type(table, column, &change).into_iter().collect(),
            Some(AlterColumnOption::SetExpression(_)) => vec![rewrites(table)],
            Some(AlterColumnOption::SetNotNull(_)) => {
                vec![Effort { unless: Some("a valid CHECK proves it"), ..reads(table) }]
            }
            _ => Vec::new(),
        },
        AlterTableAction::ValidateConstraint(_) => vec![reads(table)],
        AlterTableAction::AttachPartition(attach) => {
            let unless = Some("a valid CHECK proves its bounds");
            let partition = attach.table_name_ref().map(|partition| text(&partition));
            partition.map(|partition| Effort { unless, ..reads(partition) }).into_iter().collect()
        }
        AlterTableAction::SetLogged(_)
        | AlterTableAction::SetUnlogged(_)
        | AlterTableAction::SetTablespace(_)
        | AlterTableAction::MergePartitions(_)
        | AlterTableAction::SplitPartition(_) => vec![rewrites(table)],
        AlterTableAction::SetAccessMethod(_) => {
            vec![Effort { unless: Some("it is the table's method already"), ..rewrites(table) }]
        }
        _ => Vec::new(),
    }
}

fn of_constraint(table: &str, constraint: &Constraint) -> Vec<Effort> {
    let not_valid = |mut options: ast::AstChildren<ConstraintOption>| {
        options.any(|option| matches!(option, ConstraintOption::NotValid(_) | ConstraintOption::NotEnforced(_)))
    };
    let reads_all = match constraint {
        Constraint::CheckConstraint(check) => !not_valid(check.constraint_options()),
        Constraint::ForeignKeyConstraint(key) => !not_valid(key.constraint_options()),
        Constraint::UniqueConstraint(unique) => unique.using_index().is_none(),
        Constraint::PrimaryKeyConstraint(key) => key.using_index().is_none(),
        Constraint::ExcludeConstraint(_) => true,
        _ => false,
    };
    if reads_all { vec![reads(table)] } else { Vec::new() }
}

fn of_new_column(table: &str, column: &ast::AddColumn) -> Vec<Effort> {
    let mut efforts = Vec::new();
    let ty = column.ty().map(|ty| folded(&text(&ty))).unwrap_or_default();
    if ["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"].contains(&ty.as_str()) {
        efforts.push(rewrites(table));
    }
    for constraint in column.constraints() {
        match &constraint {
            Constraint::DefaultConstraint(default) => efforts.extend(of_default(table, default)),
            Constraint::GeneratedConstraint(generated) => match generated.generated_as() {
                Some(GeneratedAs::GeneratedStored(kind)) if has_token(kind.syntax(), SyntaxKind::VIRTUAL_KW) => {}
                Some(_) => efforts.push(rewrites(table)),
                None => {}
            },
            // The new column is NULL or the default in every row: there is one value to look at, but it is looked
            // at in each of them.
            Constraint::CheckConstraint(_) | Constraint::UniqueConstraint(_) | Constraint::PrimaryKeyConstraint(_) => {
                efforts.push(reads(table));
            }
            _ => {}
        }
    }
    efforts
}

fn of_default(table: &str, default: &ast::DefaultConstraint) -> Option<Effort> {
    let calls = all::<ast::CallExpr>(default.syntax()).filter_map(|call| Some(folded(&text(&call.expr()?))));
    let unknown: Vec<String> = calls.filter(|name| !STABLE.contains(&name.as_str())).collect();
    if unknown.iter().any(|name| VOLATILE.contains(&name.as_str())) {
        return Some(rewrites(table));
    }
    let unless = Some("the function of the default is not volatile");
    (!unknown.is_empty()).then(|| Effort { unless, ..rewrites(table) })
}

fn of_type(table: &str, column: &ast::AlterColumn, change: &ast::SetType) -> Option<Effort> {
    let to = text(&change.ty()?);
    let column = text(&column.column_name_ref()?);
    let change = TypeChange { column, to, computed: change.using_expr().is_some() };
    Some(Effort {
        unless: Some("the new type stores values as the old one does"),
        change: Some(change),
        ..rewrites(table)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> Vec<String> {
        let show = |effort: &Effort| {
            let may = if effort.unless.is_some() { "may " } else { "" };
            let what = if effort.kind == Kind::Rewrites { "rewrite" } else { "read" };
            format!("{may}{what} {}", effort.relation)
        };
        of(sql).iter().map(show).collect()
    }

    #[test]
    fn a_rewrite_is_foreseen() {
        for (sql, expected) in [
            ("ALTER TABLE t ADD COLUMN a int", &[][..]),
            ("ALTER TABLE t ADD COLUMN a timestamptz NOT NULL DEFAULT now(), ADD b text DEFAULT 'x' || 'y'", &[]),
            ("ALTER TABLE t ADD COLUMN a uuid DEFAULT gen_random_uuid()", &["rewrite t"]),
            ("ALTER TABLE t ADD COLUMN a int DEFAULT f()", &["may rewrite t"]),
            ("ALTER TABLE t ADD COLUMN a bigserial", &["rewrite t"]),
            ("ALTER TABLE t ADD COLUMN a bigint GENERATED ALWAYS AS IDENTITY", &["rewrite t"]),
            ("ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS (b + 1) STORED, ADD CHECK (a > 0)", &["rewrite t"]),
            ("ALTER TABLE s.\"T\" ALTER a TYPE bigint", &["may rewrite s.\"T\""]),
            ("ALTER TABLE t SET UNLOGGED", &["rewrite t"]),
            ("CLUSTER t USING i; VACUUM FULL u; VACUUM (FULL) v", &["rewrite t", "rewrite u", "rewrite v"]),
            ("REFRESH MATERIALIZED VIEW m", &["rewrite m"]),
            ("REFRESH MATERIALIZED VIEW m WITH NO DATA", &[]),
        ] {
            assert_eq!(shown(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_reads_all_rows_is_foreseen() {
        for (sql, expected) in [
            ("CREATE INDEX CONCURRENTLY ON t (a)", &["read t"][..]),
            ("ALTER TABLE t ADD CHECK (a > 0)", &["read t"]),
            ("ALTER TABLE t ADD CHECK (a > 0) NOT VALID", &[]),
            ("ALTER TABLE t VALIDATE CONSTRAINT c", &["read t"]),
            ("ALTER TABLE t ALTER a SET NOT NULL", &["may read t"]),
            ("ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i", &[]),
            ("ALTER TABLE t ADD UNIQUE (a)", &["read t"]),
            ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", &["read t"]),
            ("UPDATE t SET a = 1", &["read t"]),
            ("DELETE FROM t WHERE a = 1", &["may read t"]),
            ("ALTER TABLE t DROP COLUMN a, ALTER b SET DEFAULT 1", &[]),
        ] {
            assert_eq!(shown(sql), expected, "{sql}");
        }
    }
}
