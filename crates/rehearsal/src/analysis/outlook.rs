//! A plan with all that is known of its statements before they run.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use squawk_syntax::ast;
use squawk_syntax::ast::{AlterTableAction, AstNode, Stmt};

use super::lint::{self, Finding};
use super::lint_rules::LintConfig;
use super::lock_mode::{Blocks, LockMode};
use super::locks::{self, Keys, Locked};
use super::rehearsed::{Rehearsals, Rehearsed};
use super::syntax::{all, folded, text};
use super::type_change::TypeChange;
use super::work::{self, Effort, Kind};
use crate::plan::{Direction, Plan, PlannedFile};
use crate::postgres::relations::Relation;
use crate::postgres::version::Version;
use crate::source::MigrationSet;
use crate::statement::{ClassLabel, Mode, Statement};
use crate::together::Together;
use crate::written_rows;

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub struct Outlook {
    /// The files, in the order in which they run.
    pub files: Vec<FileOutlook>,
}

/// A file of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct FileOutlook {
    /// Its version.
    pub version: i64,
    /// There or back.
    pub direction: Direction,
    /// Its description.
    pub description: String,
    /// Its path.
    pub path: String,
    /// How it is run.
    pub mode: Mode,
    /// An earlier run stopped in it.
    pub resumes: bool,
    /// Limits of its own, as its head says them; nothing where it has none.
    pub limits: String,
    /// The linter has looked at it.
    pub linted: bool,
    /// The last rehearsal of it as it is now.
    pub rehearsed: Option<Rehearsed>,
    /// Its statements, in order.
    pub statements: Vec<StatementOutlook>,
}

/// A statement of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct StatementOutlook {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Its line in the file, from 1.
    pub line: usize,
    /// How many are sent in one message: itself, and INSERTs behind it of which nothing else is told.
    pub together: usize,
    /// How it is run.
    pub class: ClassLabel,
    /// Its text.
    pub sql: String,
    /// The locks that its text and the catalog tell of.
    pub locks: Vec<LockForeseen>,
    /// Why there may be more of them.
    pub locks_beyond: Option<&'static str>,
    /// What takes as long as a table is big.
    pub efforts: Vec<EffortForeseen>,
    /// What the linter says.
    pub findings: Vec<Finding>,
}

/// A lock that a statement is going to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockForeseen {
    /// The relation.
    pub relation: String,
    /// The mode.
    pub mode: LockMode,
    /// Whom it keeps waiting.
    pub blocks: Blocks,
    /// The plan itself makes the relation: nobody else uses it yet.
    pub made_by_plan: bool,
}

/// Something that takes as long as a table is big.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffortForeseen {
    /// The table.
    pub relation: String,
    /// What is done with it.
    pub kind: Kind,
    /// It is not certain, and this is what it depends on.
    pub unless: Option<&'static str>,
    /// The planner's estimate of the rows that it has now.
    pub rows: Option<u64>,
    /// Its size when VACUUM or ANALYZE came by last.
    pub bytes: Option<u64>,
    /// The plan itself makes the table.
    pub made_by_plan: bool,
}

/// What an outlook is made from, besides the plan.
pub struct Known<'a> {
    /// The migrations.
    pub migrations: &'a MigrationSet,
    /// The target's name.
    pub target: &'a str,
    /// Its server's version.
    pub server: Version,
    /// What its catalog says of [`relations`].
    pub relations: &'a HashMap<String, Relation>,
    /// What was rehearsed.
    pub rehearsals: &'a Rehearsals,
    /// Which rules of the linter speak.
    pub lint: &'a LintConfig,
    /// Whether the code of the release before has to work with that version.
    pub keeps_code_working: &'a (dyn Fn(i64) -> bool + Sync),
}

/// The relations that a plan's statements name, as they write them.
#[must_use]
pub fn relations(plan: &Plan) -> Vec<String> {
    let mut names = BTreeSet::new();
    for statement in plan.files().iter().flat_map(|file| &file.script.statements) {
        names.extend(locks::of(&statement.sql).known.into_iter().map(|lock| match lock.on {
            Locked::Relation(name) | Locked::TableOfIndex(name) | Locked::ReferredBy { table: name, .. } => name,
        }));
        names.extend(work::of(&statement.sql).into_iter().map(|effort| effort.relation));
        names.extend(renamed(&statement.sql).map(|(from, _)| from));
    }
    // The server reads `U&"…"` in a statement only.
    names.into_iter().filter(|name| !name.contains('&')).collect()
}

/// Puts together what is known.
#[must_use]
pub fn of(plan: &Plan, known: &Known<'_>) -> Outlook {
    let mut names = Names::default();
    Outlook { files: plan.files().iter().map(|file| of_file(file, known, &mut names)).collect() }
}

/// What names mean by the time a statement runs.
#[derive(Default)]
struct Names {
    /// Relations that the plan has made so far.
    made: BTreeSet<String>,
    /// New names, and what the catalog still calls them.
    renamed: HashMap<String, String>,
    /// Columns that have another type than the catalog says by then, with their tables.
    retyped: BTreeSet<(String, String)>,
}

impl Names {
    fn is_made(&self, name: &str) -> bool {
        self.made.contains(&folded(name))
    }

    /// The name by which the catalog knows it now.
    fn before<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.get(&folded(name)).map_or(name, String::as_str)
    }

    /// What a statement does to them; `made` is what it makes.
    fn take_in(&mut self, sql: &str, made: &[String]) {
        let changes = work::of(sql).into_iter().filter_map(|effort| Some((effort.relation, effort.change?.column)));
        self.retyped.extend(changes.map(|(table, column)| (folded(&table), folded(&column))));
        for (from, to) in renamed(sql).collect::<Vec<_>>() {
            if self.made.remove(&folded(&from)) {
                self.made.insert(folded(&to));
            } else {
                let first = self.before(&from).to_owned();
                self.renamed.insert(folded(&to), first);
            }
        }
        self.made.extend(made.iter().cloned());
    }
}

fn renamed(sql: &str) -> impl Iterator<Item = (String, String)> {
    let tree = written_rows::parse(sql).tree();
    tree.stmts().collect::<Vec<_>>().into_iter().filter_map(|statement| {
        let Stmt::AlterTable(alter) = statement else { return None };
        let from = text(&alter.table_relation_name()?.table_name_ref()?);
        let to = alter.actions().find_map(|action| match action {
            AlterTableAction::TableRenameTo(rename) => all::<ast::TableName>(rename.syntax()).next(),
            _ => None,
        });
        Some((from, text(&to?)))
    })
}

/// The relations that it makes, as names are compared.
fn made(sql: &str) -> Vec<String> {
    let tree = written_rows::parse(sql).tree();
    tree.stmts()
        .filter_map(|statement| match statement {
            Stmt::CreateTable(create) => Some(text(&create.table_name()?)),
            Stmt::CreateTableAs(create) => Some(text(&create.table_name()?)),
            Stmt::SelectInto(select) => Some(text(&select.into_clause()?.table_name()?)),
            Stmt::CreateMaterializedView(create) => Some(text(&create.view()?)),
            Stmt::CreateView(create) if create.or_replace().is_none() => Some(text(&create.view()?)),
            Stmt::CreateSequence(create) => Some(text(&create.sequence()?)),
            _ => None,
        })
        .map(|name| folded(&name))
        .collect()
}

fn of_file(file: &PlannedFile, known: &Known<'_>, names: &mut Names) -> FileOutlook {
    let keeps_code_working = file.direction == Direction::Up && (known.keeps_code_working)(file.version);
    let findings = lint::findings(&file.script, known.lint, known.server, keeps_code_working);
    // What a file makes and takes away again was never anybody else's.
    let mut its_own = BTreeSet::new();
    let statements = file.script.together().filter_map(|Together { statements, .. }| {
        let statement = statements.first()?;
        let behind = statement.number - 1 + statements.len();
        let next = file.script.statements.get(behind).map_or(usize::MAX, |next| next.offset);
        // What stands before the first one is about the file.
        let from = if statement.number == 1 { 0 } else { statement.offset };
        let found = findings.iter().filter(|finding| (from..next).contains(&finding.offset));
        let of_it = shown(found, statements, &its_own);
        let outlook = StatementOutlook { together: statements.len(), ..of_statement(statement, of_it, known, names) };
        let made = made(&statement.sql);
        names.take_in(&statement.sql, &made);
        its_own.extend(made);
        Some(outlook)
    });
    FileOutlook {
        version: file.version,
        direction: file.direction,
        description: file.description.clone(),
        path: file.script.path.display().to_string(),
        mode: file.script.mode,
        resumes: file.resumes,
        limits: file.script.limits.to_string(),
        linted: lint::is_for(&file.script),
        rehearsed: known.rehearsals.of(file, known.migrations, known.target),
        statements: statements.collect(),
    }
}

/// Those of a group's findings that are about more than what the file has made before.
fn shown<'a>(
    found: impl Iterator<Item = &'a Finding>,
    statements: &[Statement],
    its_own: &BTreeSet<String>,
) -> Vec<Finding> {
    let mut known = HashMap::new();
    let is_about_its_own = |finding: &&Finding| {
        let behind = statements.partition_point(|statement| statement.offset <= finding.offset);
        // A finding above the first statement is about the file.
        let Some(statement) = behind.checked_sub(1).and_then(|index| statements.get(index)) else { return false };
        *known.entry(statement.number).or_insert_with(|| locks_only(its_own, &statement.sql))
    };
    let (_, shown): (Vec<_>, Vec<_>) = found.partition(is_about_its_own);
    shown.into_iter().cloned().collect()
}

/// Whether a statement locks relations, and none but those.
fn locks_only(made: &BTreeSet<String>, sql: &str) -> bool {
    let own = |locked: &Locked| matches!(locked, Locked::Relation(name) if made.contains(&folded(name)));
    let locks = locks::of(sql).known;
    let mut relations = locks.iter().filter(|lock| matches!(lock.on, Locked::Relation(_))).peekable();
    relations.peek().is_some() && relations.all(|lock| own(&lock.on))
}

fn of_statement(statement: &Statement, findings: Vec<Finding>, known: &Known<'_>, names: &Names) -> StatementOutlook {
    let locks = locks::of(&statement.sql);
    let mut foreseen: Vec<LockForeseen> = Vec::new();
    for lock in &locks.known {
        for relation in resolved(&lock.on, known.relations, names) {
            let of_it = foreseen.iter_mut().find(|seen| seen.relation == relation);
            let mode = of_it.as_ref().map_or(lock.mode, |seen| seen.mode.max(lock.mode));
            let made_by_plan = names.is_made(&relation);
            let lock = LockForeseen { relation, mode, blocks: mode.blocks(), made_by_plan };
            match of_it {
                Some(seen) => *seen = lock,
                None => foreseen.push(lock),
            }
        }
    }
    let is_partitioned = |lock: &&LockForeseen| {
        let relation = known.relations.get(names.before(&lock.relation));
        lock.mode > LockMode::RowExclusive && relation.is_some_and(|relation| relation.partitioned)
    };
    let partitions = foreseen.iter().find(is_partitioned).map(|_| "partitions may be locked with their table");
    let effort = |effort: Effort| {
        let relation = known.relations.get(names.before(&effort.relation));
        let made_by_plan = names.is_made(&effort.relation);
        let relation_now = relation.filter(|_| !made_by_plan);
        let from = |change: &TypeChange| {
            let column = (folded(&effort.relation), folded(&change.column));
            relation_now.filter(|_| !names.retyped.contains(&column))?.columns.get(&column.1)
        };
        let rewrites = effort.change.as_ref().and_then(|change| change.rewrites(from(change)?));
        (rewrites != Some(false)).then(|| EffortForeseen {
            rows: relation_now.and_then(|relation| relation.rows),
            bytes: relation_now.map(|relation| relation.bytes),
            made_by_plan,
            relation: effort.relation,
            kind: effort.kind,
            unless: effort.unless.filter(|_| rewrites.is_none()),
        })
    };
    StatementOutlook {
        number: statement.number,
        line: statement.line,
        together: 1,
        class: statement.class.label(),
        sql: statement.sql.clone(),
        locks: foreseen,
        locks_beyond: locks.beyond.or(partitions),
        efforts: work::of(&statement.sql).into_iter().filter_map(effort).collect(),
        findings,
    }
}

fn resolved(locked: &Locked, relations: &HashMap<String, Relation>, names: &Names) -> Vec<String> {
    match locked {
        Locked::Relation(name) => vec![name.clone()],
        Locked::TableOfIndex(index) => match relations.get(index).and_then(|index| index.index_of.clone()) {
            Some(table) => vec![table],
            None => vec![format!("the table of {index}")],
        },
        Locked::ReferredBy { table, keys } => {
            let Some(relation) = relations.get(names.before(table)) else { return Vec::new() };
            let keys_of = relation.foreign_keys.iter().filter(|key| match keys {
                Keys::All => true,
                Keys::Constraint(name) => folded(name) == key.name,
                Keys::Column(name) => key.columns.contains(&folded(name)),
            });
            let whole = relation.partition_of.iter().filter(|_| *keys == Keys::All);
            keys_of.map(|key| key.refers_to.clone()).chain(whole.cloned()).collect()
        }
    }
}
