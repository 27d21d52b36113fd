//! Which class a statement is of, by its syntax.

use squawk_syntax::ast::{AlterTable, AlterTableAction, AstNode, Reindex, ReindexTarget, Stmt};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::class::{Action, Batch, Class, IndexBuild, Reindexed};
use crate::batch_marker::{self, Marker};
use crate::outline::Lines;
use crate::source::{Script, SourceError};

fn whole_database(node: &SyntaxNode) -> bool {
    [SyntaxKind::SCHEMA_KW, SyntaxKind::DATABASE_KW, SyntaxKind::SYSTEM_KW].iter().any(|kind| has_token(node, *kind))
}

fn has_token(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    node.descendants_with_tokens().any(|element| element.kind() == kind)
}

/// `from` is where the parsed piece begins in the file, `start` where the statement does in the piece.
pub(super) fn classify(statement: &Stmt, script: &Script, from: usize, start: usize) -> Result<Class, SourceError> {
    let marker = batch_marker::find(statement.syntax()).map_err(|misplaced| SourceError::Unsupported {
        path: script.path.clone(),
        line: Lines::new(&script.sql).of(from + misplaced.offset),
        what: misplaced.what,
        instead: misplaced.instead,
    })?;
    if let Some(Marker { table, qualifier, key, range, sweeps, updates }) = marker {
        let marker = range.start - start..range.end - start;
        return Ok(Class::Batched(Batch { table, qualifier, key, marker, sweeps, updates }));
    }
    Ok(classify_by_kind(statement, script.no_transaction))
}

pub(super) fn classify_by_kind(statement: &Stmt, no_transaction: bool) -> Class {
    let text = |node: &SyntaxNode| node.text().to_string().trim().to_owned();
    let concurrently = || has_token(statement.syntax(), SyntaxKind::CONCURRENTLY_KW);
    let repeatable = || Class::NonTransactional(Action::Repeatable { waits: concurrently() });
    let unknown = || Class::NonTransactional(Action::Unknown { waits: concurrently() });
    match statement {
        Stmt::CreateIndex(create) if create.concurrently_token().is_some() => {
            let Some(table) = create.table_relation_name() else { return unknown() };
            let whole = create.syntax().text().to_string();
            let behind = usize::from(table.syntax().text_range().end() - create.syntax().text_range().start());
            Class::NonTransactional(Action::CreateIndex(IndexBuild {
                name: create.index().map(|index| text(index.syntax())),
                table: text(table.syntax()).trim_start_matches("ONLY ").trim_start_matches("only ").to_owned(),
                unique: create.unique_token().is_some(),
                definition: whole[behind..].trim().trim_end_matches(';').to_owned(),
            }))
        }
        Stmt::DropIndex(drop) if drop.concurrently_token().is_some() => {
            let name = drop.index_refs().next().map(|name| text(name.syntax())).unwrap_or_default();
            Class::NonTransactional(Action::DropIndex { name })
        }
        // https://www.postgresql.org/docs/current/sql-commands.html: each of these says that it
        // "cannot be executed inside a transaction block".
        Stmt::CreateDatabase(_)
        | Stmt::DropDatabase(_)
        | Stmt::CreateTablespace(_)
        | Stmt::DropTablespace(_)
        | Stmt::CreateSubscription(_)
        | Stmt::DropSubscription(_) => unknown(),
        Stmt::Vacuum(_) | Stmt::AlterSystem(_) => repeatable(),
        // REINDEX of a schema, a database or the system commits after each table, and so does CLUSTER
        // without one.
        Stmt::Reindex(reindex) if concurrently() => Class::NonTransactional(Action::Reindex(reindexed(reindex))),
        Stmt::Reindex(_) if whole_database(statement.syntax()) => repeatable(),
        Stmt::Cluster(cluster) if cluster.syntax().children().next().is_none() => repeatable(),
        Stmt::AlterTable(alter) if concurrently() => detached(alter).map_or_else(unknown, Class::NonTransactional),
        // These may commit inside; in a file that asks for no transaction they must be able to.
        Stmt::Call(_) | Stmt::Do(_) if no_transaction => unknown(),
        _ => Class::Transactional,
    }
}

fn reindexed(reindex: &Reindex) -> Reindexed {
    let name = |node: Option<String>, what: fn(String) -> Reindexed| node.map_or(Reindexed::All, what);
    match reindex.reindex_target() {
        Some(ReindexTarget::ReindexTargetIndex(target)) => {
            name(target.index_ref().map(|index| index.syntax().text().to_string()), Reindexed::Index)
        }
        Some(ReindexTarget::ReindexTargetTable(target)) => {
            name(target.table_name_ref().map(|table| table.syntax().text().to_string()), Reindexed::Table)
        }
        _ => Reindexed::All,
    }
}

/// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`, which is alone in its statement.
fn detached(alter: &AlterTable) -> Option<Action> {
    let AlterTableAction::DetachPartition(detach) = alter.actions().next()? else { return None };
    Some(Action::DetachPartition {
        table: alter.table_relation_name()?.syntax().text().to_string().trim().to_owned(),
        partition: detach.table_name_ref()?.syntax().text().to_string().trim().to_owned(),
    })
}
