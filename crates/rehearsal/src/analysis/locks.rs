//! Which tables a statement locks, and how, as far as its text tells.
//!
//! Sources: the documentation, "Explicit Locking", and the page of each command; for ALTER TABLE the lock of
//! each form as its page says, the strongest of all forms in one statement. Where the pages say nothing
//! (COMMENT ON a trigger, DROP of a table that refers to another), what PostgreSQL 15 does. A test runs one
//! statement of each kind on a real server, and compares this with `pg_locks`.

use squawk_syntax::ast::{
    self, AlterColumnOption, AlterIndexAction, AlterSequenceAction, AlterTableAction, AlterTypeAction, AstNode,
    CommentObject, Constraint, CopyDirection, ReindexTarget, Stmt,
};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::lock_mode::LockMode;
use super::syntax::{all, folded, has_token, text};
use crate::written_rows;

/// Storage parameters that are set under SHARE UPDATE EXCLUSIVE, by the page of ALTER TABLE.
const MILD_PARAMETERS: [&str; 10] = [
    "fillfactor",
    "deduplicate_items",
    "toast",
    "toast_tuple_target",
    "parallel_workers",
    "autovacuum",
    "vacuum",
    "log_autovacuum",
    "n_distinct",
    "n_distinct_inherited",
];

/// What is locked. Names are as the statement writes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Locked {
    /// This relation.
    Relation(String),
    /// The table that this index is on.
    TableOfIndex(String),
    /// The tables that this table refers to by foreign keys, and the table that it is a partition of.
    ReferredBy {
        /// The table.
        table: String,
        /// Which of its foreign keys.
        keys: Keys,
    },
}

/// Foreign keys of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Keys {
    /// All of them.
    All,
    /// The one of this name, if it is one.
    Constraint(String),
    /// Those that this column is a part of.
    Column(String),
}

/// A lock on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLock {
    /// On what.
    pub on: Locked,
    /// How.
    pub mode: LockMode,
}

/// All locks of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locks {
    /// What its text tells; the strongest of each relation, in the order of the text.
    pub known: Vec<TableLock>,
    /// Why there may be more.
    pub beyond: Option<&'static str>,
}

/// The locks of a statement's text.
#[must_use]
pub fn of(sql: &str) -> Locks {
    let parsed = written_rows::parse(sql);
    if !parsed.errors().is_empty() {
        return Locks::beyond("the parser does not understand it");
    }
    parsed.tree().stmts().map(|statement| of_parsed(&statement)).fold(Locks::default(), Locks::with)
}

impl Locks {
    fn beyond(reason: &'static str) -> Self {
        Self { known: Vec::new(), beyond: Some(reason) }
    }

    fn on(relations: impl IntoIterator<Item = String>, mode: LockMode) -> Self {
        relations.into_iter().fold(Self::default(), |locks, relation| locks.and(Locked::Relation(relation), mode))
    }

    /// The strongest lock on a relation is the one that counts.
    fn and(mut self, on: Locked, mode: LockMode) -> Self {
        match self.known.iter_mut().find(|lock| lock.on == on) {
            Some(lock) => lock.mode = lock.mode.max(mode),
            None => self.known.push(TableLock { on, mode }),
        }
        self
    }

    fn with(self, other: Self) -> Self {
        let beyond = self.beyond.or(other.beyond);
        let joined = other.known.into_iter().fold(self, |locks, lock| locks.and(lock.on, lock.mode));
        Self { beyond, ..joined }
    }

    fn or_beyond(self, is: bool, reason: &'static str) -> Self {
        let beyond = self.beyond.or(is.then_some(reason));
        Self { beyond, ..self }
    }
}

const DEPENDENTS: &str = "CASCADE locks whatever depends on it";
const CALLED: &str = "what it calls may lock more";
const OPAQUE: &str = "what it runs cannot be seen from outside";
const USERS: &str = "the tables that use it are locked";
const WHOLE: &str = "it goes over many tables";

fn of_parsed(statement: &Stmt) -> Locks {
    use LockMode::{AccessExclusive, AccessShare, RowExclusive, Share, ShareRowExclusive, ShareUpdateExclusive};
    let node = statement.syntax();
    let cascades = has_token(node, SyntaxKind::CASCADE_KW);
    match statement {
        Stmt::Select(_)
        | Stmt::CompoundSelect(_)
        | Stmt::ParenSelect(_)
        | Stmt::Values(_)
        | Stmt::SelectInto(_)
        | Stmt::CreateTableAs(_)
        | Stmt::CreateMaterializedView(_) => {
            let calls = all::<ast::CallExpr>(node).next().is_some();
            of_rows(node).or_beyond(calls, CALLED)
        }
        Stmt::Insert(_) | Stmt::Update(_) | Stmt::Delete(_) | Stmt::Merge(_) => of_rows(node),
        Stmt::Table(table) => {
            Locks::on(all::<ast::RelationNameRef>(table.syntax()).map(|name| text(&name)), AccessShare)
        }
        Stmt::CreateView(view) => {
            let replaced = view.or_replace().and(view.view()).map(|name| text(&name));
            of_rows(node).with(Locks::on(replaced, AccessExclusive))
        }
        Stmt::Copy(copy) => {
            let into = matches!(copy.copy_direction(), Some(CopyDirection::CopyFrom(_)));
            let table = copy.copy_table().and_then(|table| table.table_name_ref()).map(|name| text(&name));
            of_rows(node).with(Locks::on(table, if into { RowExclusive } else { AccessShare }))
        }
        Stmt::Truncate(truncate) => {
            let tables = truncate.table_list().into_iter().flat_map(|list| list.table_relation_names());
            Locks::on(tables.filter_map(|table| name_of(Some(table))), AccessExclusive).or_beyond(cascades, DEPENDENTS)
        }
        Stmt::Lock(lock) => {
            let words = lock.lock_mode_clause().and_then(|clause| clause.lock_mode()).map(|mode| text(&mode));
            let mode = words.and_then(|words| LockMode::of_sql(&words)).unwrap_or(AccessExclusive);
            let relations = lock.relation_list().into_iter().flat_map(|list| list.relation_names());
            Locks::on(relations.filter_map(|name| name.relation_name_ref()).map(|name| text(&name)), mode)
        }
        Stmt::CreateIndex(create) => {
            let mode = if create.concurrently_token().is_some() { ShareUpdateExclusive } else { Share };
            Locks::on(name_of(create.table_relation_name()), mode)
        }
        Stmt::DropIndex(drop) => {
            let mode = if drop.concurrently_token().is_some() { ShareUpdateExclusive } else { AccessExclusive };
            let indexes = drop.index_refs().map(|index| text(&index));
            let locks = indexes.fold(Locks::default(), |locks, index| locks.and(Locked::TableOfIndex(index), mode));
            locks.or_beyond(cascades, DEPENDENTS)
        }
        Stmt::AlterIndex(alter) => of_alter_index(alter),
        Stmt::Reindex(reindex) => of_reindex(reindex),
        Stmt::Cluster(cluster) => {
            let table = all::<ast::TableNameRef>(cluster.syntax()).next().map(|name| text(&name));
            let whole = table.is_none();
            Locks::on(table, AccessExclusive).or_beyond(whole, WHOLE)
        }
        Stmt::Vacuum(vacuum) => {
            let mode = if has_token(node, SyntaxKind::FULL_KW) { AccessExclusive } else { ShareUpdateExclusive };
            of_list(vacuum.table_and_columns_list(), mode)
        }
        Stmt::Analyze(analyze) => of_list(analyze.table_and_columns_list(), ShareUpdateExclusive),
        Stmt::Refresh(refresh) => {
            let mode = if refresh.concurrently_token().is_some() { LockMode::Exclusive } else { AccessExclusive };
            Locks::on(refresh.view_ref().map(|view| text(&view)), mode)
                .or_beyond(true, "the relations that it reads are locked ACCESS SHARE")
        }
        Stmt::CreateTable(create) => of_create_table(create),
        Stmt::AlterTable(alter) => of_alter_table(name_of(alter.table_relation_name()), alter.actions(), cascades),
        Stmt::AlterForeignTable(alter) => {
            of_alter_table(name_of(alter.table_relation_name()), alter.actions(), cascades)
        }
        Stmt::DropTable(drop) => {
            let locks = drop.table_name_refs().map(|table| text(&table)).fold(Locks::default(), |locks, table| {
                let keys = Keys::All;
                locks
                    .and(Locked::Relation(table.clone()), AccessExclusive)
                    .and(Locked::ReferredBy { table, keys }, AccessExclusive)
            });
            locks.or_beyond(cascades, DEPENDENTS)
        }
        Stmt::DropView(drop) => {
            Locks::on(drop.view_refs().map(|view| text(&view)), AccessExclusive).or_beyond(cascades, DEPENDENTS)
        }
        Stmt::DropMaterializedView(drop) => {
            Locks::on(drop.view_refs().map(|view| text(&view)), AccessExclusive).or_beyond(cascades, DEPENDENTS)
        }
        Stmt::DropForeignTable(drop) => {
            Locks::on(drop.table_name_refs().map(|table| text(&table)), AccessExclusive).or_beyond(cascades, DEPENDENTS)
        }
        Stmt::DropSequence(drop) => {
            let sequences = drop.sequence_refs().map(|sequence| text(&sequence));
            Locks::on(sequences, AccessExclusive).or_beyond(cascades, DEPENDENTS)
        }
        Stmt::AlterView(alter) => Locks::on(alter.view_ref().map(|view| text(&view)), AccessExclusive),
        Stmt::AlterMaterializedView(alter) => Locks::on(alter.view_ref().map(|view| text(&view)), AccessExclusive),
        Stmt::AlterSequence(alter) => {
            let mild = alter.actions().all(|action| matches!(action, AlterSequenceAction::SequenceOption(_)));
            let mode = if mild { ShareRowExclusive } else { AccessExclusive };
            Locks::on(alter.sequence_ref().map(|sequence| text(&sequence)), mode).with(of_owned_by(node))
        }
        Stmt::CreateSequence(_) => of_owned_by(node),
        Stmt::CreateTrigger(create) => Locks::on(create.on_relation().and_then(|on| on_name(&on)), ShareRowExclusive),
        Stmt::DropTrigger(drop) => Locks::on(drop.on_relation().and_then(|on| on_name(&on)), AccessExclusive),
        Stmt::AlterTrigger(alter) => Locks::on(alter.on_relation().and_then(|on| on_name(&on)), AccessExclusive),
        Stmt::CreateRule(create) => {
            let table = create.rule_on().and_then(|on| on.relation_name_ref()).map(|name| text(&name));
            Locks::on(table, AccessExclusive).or_beyond(true, "what its action names is locked ACCESS SHARE")
        }
        Stmt::DropRule(drop) => Locks::on(drop.on_relation().and_then(|on| on_name(&on)), AccessExclusive),
        Stmt::AlterRule(alter) => Locks::on(alter.on_relation().and_then(|on| on_name(&on)), AccessExclusive),
        Stmt::CreatePolicy(create) => Locks::on(create.on_table().and_then(|on| on_table(&on)), AccessExclusive),
        Stmt::AlterPolicy(alter) => Locks::on(alter.on_table().and_then(|on| on_table(&on)), AccessExclusive),
        Stmt::DropPolicy(drop) => Locks::on(drop.on_table().and_then(|on| on_table(&on)), AccessExclusive),
        Stmt::CreateStatistics(create) => {
            let table = create.from_table().and_then(|from| from.table_name_ref()).map(|name| text(&name));
            Locks::on(table, ShareUpdateExclusive)
        }
        Stmt::CommentOn(comment) => of_comment(comment),
        // The values of an enum are rows of a catalog, and names of types too.
        Stmt::AlterType(alter) => match alter.action() {
            Some(AlterTypeAction::AlterTypeAttributeActionList(_)) => Locks::beyond(USERS),
            _ => Locks::default(),
        },
        Stmt::AlterDomain(_) => Locks::beyond(USERS),
        Stmt::CreatePublication(_) | Stmt::AlterPublication(_) => {
            Locks::beyond("the tables that it names are locked SHARE UPDATE EXCLUSIVE")
        }
        Stmt::DropStatistics(_) => Locks::beyond("its table is locked SHARE UPDATE EXCLUSIVE"),
        Stmt::DropSchema(_) | Stmt::DropOwned(_) | Stmt::DropExtension(_) | Stmt::DropDatabase(_) => {
            Locks::beyond("all that goes with it is locked")
        }
        Stmt::Do(_)
        | Stmt::Call(_)
        | Stmt::Execute(_)
        | Stmt::CreateExtension(_)
        | Stmt::AlterExtension(_)
        | Stmt::ImportForeignSchema(_) => Locks::beyond(OPAQUE),
        // Its elements are statements of their own.
        Stmt::CreateSchema(_) => Locks::default().or_beyond(creates(node) > 1, OPAQUE),
        Stmt::Reassign(_) | Stmt::Repack(_) => Locks::beyond(WHOLE),
        _ => Locks::default().or_beyond(cascades, DEPENDENTS),
    }
}

fn creates(node: &SyntaxNode) -> usize {
    node.descendants_with_tokens().filter(|element| element.kind() == SyntaxKind::CREATE_KW).count()
}

fn name_of(table: Option<ast::TableRelationName>) -> Option<String> {
    Some(text(&table?.table_name_ref()?))
}

fn on_name(on: &ast::OnRelation) -> Option<String> {
    Some(text(&on.relation_name_ref()?))
}

fn on_table(on: &ast::OnTable) -> Option<String> {
    Some(text(&on.table_name_ref()?))
}

/// A statement that reads or writes rows, with all of its subqueries.
fn of_rows(node: &SyntaxNode) -> Locks {
    let common: Vec<String> = all::<ast::CteName>(node).map(|name| folded(&text(&name))).collect();
    let is_table = |name: &String| name.contains('.') || !common.contains(&folded(name));
    let read = all::<ast::RelationFromItem>(node).filter_map(|item| Some((text(&item.relation_name_ref()?), item)));
    let mut locks = Locks::default();
    for (name, item) in read.filter(|(name, _)| is_table(name)) {
        let select = item.syntax().ancestors().find(|above| above.kind() == SyntaxKind::SELECT);
        let takes_rows =
            select.is_some_and(|select| select.children().any(|child| child.kind() == SyntaxKind::LOCKING_CLAUSE));
        let mode = if takes_rows { LockMode::RowShare } else { LockMode::AccessShare };
        locks = locks.and(Locked::Relation(name), mode);
    }
    let written = all::<ast::Insert>(node)
        .filter_map(|insert| Some(text(&insert.relation_name_ref()?)))
        .chain(all::<ast::Update>(node).filter_map(|update| Some(text(&update.relation_name()?.relation_name_ref()?))))
        .chain(all::<ast::Delete>(node).filter_map(|delete| Some(text(&delete.relation_name()?.relation_name_ref()?))))
        .chain(all::<ast::Merge>(node).filter_map(|merge| name_of(merge.table_relation_name())));
    locks.with(Locks::on(written, LockMode::RowExclusive))
}

fn of_list(list: Option<ast::TableAndColumnsList>, mode: LockMode) -> Locks {
    let tables: Vec<String> = list
        .into_iter()
        .flat_map(|list| list.table_and_columnss())
        .filter_map(|entry| name_of(entry.table_relation_name()))
        .collect();
    let whole = tables.is_empty();
    Locks::on(tables, mode).or_beyond(whole, WHOLE)
}

fn of_owned_by(node: &SyntaxNode) -> Locks {
    let owners = all::<ast::OptionOwnedBy>(node).filter_map(|option| {
        let words = text(&option);
        let column = words.split_whitespace().last()?;
        column.rsplit_once('.').map(|(table, _)| table.to_owned())
    });
    Locks::on(owners, LockMode::AccessShare)
}

fn of_alter_index(alter: &ast::AlterIndex) -> Locks {
    let Some(index) = alter.index_ref().map(|index| text(&index)) else { return Locks::beyond(WHOLE) };
    let mode = match alter.action() {
        Some(AlterIndexAction::SetOptions(_) | AlterIndexAction::ResetOptions(_)) => of_parameters(alter.syntax()),
        Some(AlterIndexAction::SetTablespace(_) | AlterIndexAction::AttachIndexPartition(_)) => {
            LockMode::AccessExclusive
        }
        _ => LockMode::ShareUpdateExclusive,
    };
    Locks::on([index], mode)
}

/// The index itself is locked in a way that keeps every query of its table waiting: planning one looks at all
/// indexes of a table.
fn of_reindex(reindex: &ast::Reindex) -> Locks {
    let concurrently = has_token(reindex.syntax(), SyntaxKind::CONCURRENTLY_KW);
    let mode = if concurrently { LockMode::ShareUpdateExclusive } else { LockMode::Share };
    let index_mode = if concurrently { LockMode::ShareUpdateExclusive } else { LockMode::AccessExclusive };
    match reindex.reindex_target() {
        Some(ReindexTarget::ReindexTargetIndex(target)) => {
            let index = all::<ast::IndexRef>(target.syntax()).next().map(|index| text(&index));
            index.into_iter().fold(Locks::default(), |locks, index| {
                locks.and(Locked::TableOfIndex(index.clone()), mode).and(Locked::Relation(index), index_mode)
            })
        }
        Some(ReindexTarget::ReindexTargetTable(target)) => {
            let table = all::<ast::TableNameRef>(target.syntax()).next().map(|table| text(&table));
            let beyond = "each of its indexes is locked ACCESS EXCLUSIVE, which stops every query of the table";
            Locks::on(table, mode).or_beyond(!concurrently, beyond)
        }
        _ => Locks::beyond(WHOLE),
    }
}

fn of_create_table(create: &ast::CreateTable) -> Locks {
    let node = create.syntax();
    let like = all::<ast::LikeClause>(node).filter_map(|like| Some(text(&like.relation_name_ref()?)));
    let parents = create.inherits().into_iter().flat_map(|inherits| inherits.table_name_refs());
    let whole = create.partition_of().and_then(|of| of.table_name_ref()).map(|table| text(&table));
    // What refers to itself locks nothing that is there.
    let itself = create.table_name().map(|table| folded(&text(&table)));
    let referred = referred_to(node).filter(|table| Some(folded(table)) != itself);
    Locks::on(referred, LockMode::ShareRowExclusive)
        .with(Locks::on(like, LockMode::AccessShare))
        .with(Locks::on(parents.map(|table| text(&table)), LockMode::ShareUpdateExclusive))
        .with(Locks::on(whole, LockMode::AccessExclusive))
}

fn referred_to(node: &SyntaxNode) -> impl Iterator<Item = String> {
    let of_columns = all::<ast::ReferencesConstraint>(node).filter_map(|constraint| constraint.table());
    let of_table = all::<ast::ForeignKeyConstraint>(node).filter_map(|constraint| constraint.table_name_ref());
    of_columns.chain(of_table).map(|table| text(&table))
}

fn of_alter_table(table: Option<String>, actions: impl Iterator<Item = AlterTableAction>, cascades: bool) -> Locks {
    let Some(table) = table else { return Locks::beyond(WHOLE) };
    actions
        .fold(Locks::default(), |locks, action| locks.with(of_action(&table, &action)))
        .or_beyond(cascades, DEPENDENTS)
}

fn of_action(table: &str, action: &AlterTableAction) -> Locks {
    use LockMode::{AccessExclusive, RowShare, ShareRowExclusive, ShareUpdateExclusive};
    let on = |mode| Locks::on([table.to_owned()], mode);
    let referred = |keys| Locked::ReferredBy { table: table.to_owned(), keys };
    match action {
        AlterTableAction::AddColumn(column) => {
            on(AccessExclusive).with(Locks::on(referred_to(column.syntax()), ShareRowExclusive))
        }
        AlterTableAction::AddConstraint(add) => match add.constraint() {
            Some(Constraint::ForeignKeyConstraint(key)) => {
                let other = key.table_name_ref().map(|other| text(&other));
                on(ShareRowExclusive).with(Locks::on(other, ShareRowExclusive))
            }
            _ => on(AccessExclusive),
        },
        AlterTableAction::AlterColumn(column) => match column.option() {
            Some(AlterColumnOption::SetStatistics(_)) => on(ShareUpdateExclusive),
            Some(
                AlterColumnOption::SetOptions(_)
                | AlterColumnOption::SetOptionsList(_)
                | AlterColumnOption::ResetOptions(_),
            ) => on(of_parameters(column.syntax())),
            _ => on(AccessExclusive),
        },
        AlterTableAction::ValidateConstraint(validate) => {
            let name = validate.constraint_name_ref().map(|name| text(&name)).unwrap_or_default();
            on(ShareUpdateExclusive).and(referred(Keys::Constraint(name)), RowShare)
        }
        AlterTableAction::DropConstraint(drop) => {
            let name = all::<ast::ConstraintNameRef>(drop.syntax()).next().map(|name| text(&name)).unwrap_or_default();
            on(AccessExclusive).and(referred(Keys::Constraint(name)), AccessExclusive)
        }
        AlterTableAction::DropColumn(drop) => {
            let name = drop.column_name_ref().map(|name| text(&name)).unwrap_or_default();
            on(AccessExclusive).and(referred(Keys::Column(name)), AccessExclusive)
        }
        AlterTableAction::AttachPartition(attach) => {
            let partition = attach.table_name_ref().map(|partition| text(&partition));
            on(ShareUpdateExclusive).with(Locks::on(partition, AccessExclusive))
        }
        AlterTableAction::DetachPartition(detach) => {
            let mode = if has_token(detach.syntax(), SyntaxKind::CONCURRENTLY_KW) {
                ShareUpdateExclusive
            } else {
                AccessExclusive
            };
            let partition = detach.table_name_ref().map(|partition| text(&partition));
            on(mode).with(Locks::on(partition, AccessExclusive))
        }
        AlterTableAction::InheritTable(inherit) => {
            let parent = inherit.table_name_ref().map(|parent| text(&parent));
            on(AccessExclusive).with(Locks::on(parent, ShareUpdateExclusive))
        }
        AlterTableAction::NoInheritTable(inherit) => {
            let parent = inherit.table_name_ref().map(|parent| text(&parent));
            on(AccessExclusive).with(Locks::on(parent, ShareUpdateExclusive))
        }
        AlterTableAction::ClusterOn(_) | AlterTableAction::SetWithoutCluster(_) => on(ShareUpdateExclusive),
        AlterTableAction::SetOptions(options) => on(of_parameters(options.syntax())),
        AlterTableAction::ResetOptions(options) => on(of_parameters(options.syntax())),
        AlterTableAction::EnableTrigger(_)
        | AlterTableAction::DisableTrigger(_)
        | AlterTableAction::EnableAlwaysTrigger(_)
        | AlterTableAction::EnableReplicaTrigger(_) => on(ShareRowExclusive),
        _ => on(AccessExclusive),
    }
}

/// The lock that setting or resetting these parameters takes.
fn of_parameters(node: &SyntaxNode) -> LockMode {
    let words = node.text().to_string();
    let list = words.split_once('(').map_or("", |(_, list)| list);
    let mut names = list.split(',').map(|entry| {
        entry.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default().to_lowercase()
    });
    let is_mild = |name: String| {
        MILD_PARAMETERS.iter().any(|mild| {
            name == *mild
                || (mild.ends_with("vacuum") && name.strip_prefix(mild).is_some_and(|rest| rest.starts_with('_')))
        })
    };
    if names.all(is_mild) { LockMode::ShareUpdateExclusive } else { LockMode::AccessExclusive }
}

fn of_comment(comment: &ast::CommentOn) -> Locks {
    use LockMode::{AccessShare, ShareUpdateExclusive};
    let node = comment.syntax();
    let first = |mode| {
        let name = comment.comment_object().and_then(|object| {
            object.syntax().descendants().find(|node| {
                [SyntaxKind::TABLE_NAME_REF, SyntaxKind::VIEW_REF, SyntaxKind::INDEX_REF, SyntaxKind::SEQUENCE_REF]
                    .contains(&node.kind())
            })
        });
        Locks::on(name.map(|name| name.text().to_string().trim().to_owned()), mode)
    };
    match comment.comment_object() {
        Some(CommentObject::ObjectColumn(column)) => {
            let words = text(&column);
            let path = words.split_whitespace().last().unwrap_or_default().to_owned();
            Locks::on(path.rsplit_once('.').map(|(table, _)| table.to_owned()), ShareUpdateExclusive)
        }
        Some(
            CommentObject::ObjectConstraint(_)
            | CommentObject::ObjectTrigger(_)
            | CommentObject::ObjectPolicy(_)
            | CommentObject::ObjectRule(_),
        ) => {
            let relation = all::<ast::RelationNameRef>(node).next().map(|name| text(&name));
            let table = all::<ast::TableNameRef>(node).next().map(|name| text(&name));
            Locks::on(relation.or(table), AccessShare)
        }
        _ => first(ShareUpdateExclusive),
    }
}
