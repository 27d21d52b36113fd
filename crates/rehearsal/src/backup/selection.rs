//! Some tables of a backup: which entries of its dump that takes.
//!
//! `pg_restore --table` takes neither indexes nor keys nor sequences nor types. But pg_dump writes down what each
//! entry needs, all of it, so what belongs to a table and what it needs can be told from the dump alone. Other tables
//! come along only as definitions, and only where a definition needs them; what refers to the rows of one
//! that is not taken is left out, and named.

use std::collections::{BTreeMap, BTreeSet};

use super::files;
use super::manifest::Manifest;
use super::refusal::RestoreError;
use crate::postgres::contents::TableName;

/// What has rows, or gives some: none of it comes along but for a definition that needs it.
const RELATIONS: &[&str] = &["TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"];

/// What belongs to whatever it is about.
const ABOUT: &[&str] = &["COMMENT", "ACL", "SECURITY LABEL", "SEQUENCE SET"];

/// What belongs to a table (pg_dump.c, the `description` of each ArchiveEntry).
const OF_A_TABLE: &[&str] = &[
    "TABLE ATTACH",
    "SEQUENCE OWNED BY",
    "SEQUENCE",
    "INDEX ATTACH",
    "INDEX",
    "CHECK CONSTRAINT",
    "FK CONSTRAINT",
    "CONSTRAINT",
    "DEFAULT",
    "TRIGGER",
    "RULE",
    "POLICY",
    "ROW SECURITY",
    "STATISTICS",
];

/// Other kinds whose names begin with one of those.
const OTHERS: &[&str] = &["MATERIALIZED VIEW DATA", "STATISTICS DATA", ROWS];

/// A table's rows.
const ROWS: &str = "TABLE DATA";

/// One entry of a dump's table of contents.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Its line, as `--use-list` takes it.
    pub line: &'a str,
    /// What it is; empty for kinds that do not matter here.
    kind: &'static str,
    /// Schema, name and owner, with blanks between.
    named: &'a str,
    needs: BTreeSet<u32>,
}

impl Entry<'_> {
    /// Whether it is of that kind, and about that: `EXTENSION`, `- citext`.
    #[must_use]
    pub fn is(&self, kind: &str, named: &str) -> bool {
        let rest = self.line.splitn(4, ' ').nth(3).and_then(|rest| rest.strip_prefix(kind)?.strip_prefix(' '));
        rest.and_then(|rest| rest.strip_prefix(named)).is_some_and(|rest| rest.starts_with(' '))
    }

    /// For people, without its owner.
    fn phrase(&self) -> String {
        let mut words: Vec<&str> = self.named.trim_end().split(' ').collect();
        words.pop();
        let kind = match self.kind {
            "FK CONSTRAINT" => "foreign key".to_owned(),
            kind => kind.to_lowercase(),
        };
        match &words[..] {
            [schema, table, name @ ..] if !name.is_empty() => format!("{kind} {} of {schema}.{table}", name.join(" ")),
            words => format!("{kind} {}", words.join(".")),
        }
    }
}

/// All entries by their numbers, which are in the order of the dump in `list` alone.
pub type Entries<'a> = Vec<(u32, Entry<'a>)>;

/// Reads what [`crate::postgres::archive::Archive::list`] gives.
#[must_use]
pub fn entries(list: &str) -> Entries<'_> {
    let mut entries: Entries<'_> = Vec::new();
    for line in list.lines() {
        if let Some(needs) = line.strip_prefix(";\tdepends on:") {
            if let Some((_, entry)) = entries.last_mut() {
                entry.needs = needs.split_whitespace().filter_map(|id| id.parse().ok()).collect();
            }
        } else if let Some((id, rest)) = line.split_once("; ")
            && let Ok(id) = id.parse()
            && let Some(what) = rest.splitn(3, ' ').nth(2)
        {
            let (kind, named) = kind_of(what);
            entries.push((id, Entry { line, kind, named, needs: BTreeSet::new() }));
        }
    }
    entries
}

fn kind_of(what: &str) -> (&'static str, &str) {
    let known = RELATIONS.iter().chain(ABOUT).chain(OF_A_TABLE).chain(OTHERS);
    let fitting = known.filter_map(|kind| Some((*kind, what.strip_prefix(kind)?.strip_prefix(' ')?)));
    fitting.max_by_key(|(kind, _)| kind.len()).unwrap_or(("", what))
}

/// What is restored of a backup.
#[derive(Debug)]
pub struct Selection {
    /// The lines of the entries, in their order.
    pub list: String,
    /// The manifest of these tables alone, with their sequences and the extensions that they need.
    pub manifest: Manifest,
    /// Tables whose definitions come along without their rows.
    pub empty: Vec<String>,
    /// What belongs to the tables, and is not taken for what else it needs.
    pub left_out: Vec<String>,
}

/// Chooses the tables that the patterns mean. A partitioned table is all of its partitions.
///
/// # Errors
/// [`RestoreError::NotInBackup`] with every pattern that means none.
pub fn choose(list: &str, manifest: &Manifest, patterns: &[String]) -> Result<Selection, RestoreError> {
    let entries = entries(list);
    let by_id: BTreeMap<u32, &Entry<'_>> = entries.iter().map(|(id, entry)| (*id, entry)).collect();
    let rows = files::data_files_by_name(list, manifest.tables.iter().map(|table| &table.name));
    let rows: BTreeMap<&TableName, u32> =
        rows.iter().filter_map(|(name, id)| Some((name, u32::try_from(*id).ok()?))).collect();
    let parents = parents(&entries, &by_id);
    let mut wanted = BTreeSet::new();
    let mut missing = Vec::new();
    for pattern in patterns {
        let of_rows = rows.iter().filter(|(name, _)| super::export::fits(name, pattern));
        let mut found: Vec<u32> = of_rows.filter_map(|(_, id)| by_id.get(id)?.needs.first().copied()).collect();
        let partitioned = parents.iter().filter(|(_, (name, _))| super::export::fits(name, pattern));
        found.extend(partitioned.map(|(id, _)| *id));
        if found.is_empty() {
            missing.push(pattern.clone());
        }
        while let Some(id) = found.pop() {
            if wanted.insert(id) {
                found.extend(parents.get(&id).map(|(_, children)| children).into_iter().flatten());
            }
        }
    }
    if !missing.is_empty() {
        return Err(RestoreError::NotInBackup { tables: missing });
    }
    let (taken, left_out) = take(&entries, &by_id, &wanted);
    let is_taken = |id: &u32| taken.contains(id);
    let mut chosen = manifest.clone();
    chosen.tables.retain(|table| rows.get(&table.name).is_some_and(is_taken));
    let lines: Vec<&Entry<'_>> = entries.iter().filter(|(id, _)| is_taken(id)).map(|(_, entry)| entry).collect();
    let has = |kind: &str, named: &str| lines.iter().any(|entry| entry.is(kind, named));
    chosen.sequences.retain(|entry| has("SEQUENCE SET", &format!("{} {}", entry.name.schema, entry.name.name)));
    let name_of = |extension: &str| extension.split(' ').next().unwrap_or_default().to_owned();
    chosen.extensions.retain(|extension| has("EXTENSION", &format!("- {}", name_of(extension))));
    let along = entries.iter().filter(|(id, entry)| is_taken(id) && entry.kind == "TABLE" && !wanted.contains(id));
    Ok(Selection {
        list: lines.iter().flat_map(|entry| [entry.line, "\n"]).collect(),
        manifest: chosen,
        empty: along.map(|(_, entry)| entry.phrase()).collect(),
        left_out,
    })
}

/// Partitioned tables with their partitions.
fn parents(entries: &Entries<'_>, by_id: &BTreeMap<u32, &Entry<'_>>) -> BTreeMap<u32, (TableName, Vec<u32>)> {
    let mut parents: BTreeMap<u32, (TableName, Vec<u32>)> = BTreeMap::new();
    for (_, attach) in entries.iter().filter(|(_, entry)| entry.kind == "TABLE ATTACH") {
        let tables: Vec<u32> = attach.needs.iter().copied().filter(|id| by_id.contains_key(id)).collect();
        // A partition is made after its parent, and needs it.
        let [one, other] = tables[..] else { continue };
        let (parent, child) = if by_id[&one].needs.contains(&other) { (other, one) } else { (one, other) };
        let mut words = by_id[&parent].named.trim_end().split(' ');
        let schema = words.next().unwrap_or_default().to_owned();
        let mut name: Vec<&str> = words.collect();
        name.pop();
        let unnamed = || (TableName { schema, name: name.join(" ") }, Vec::new());
        parents.entry(parent).or_insert_with(unnamed).1.push(child);
    }
    parents
}

/// The wanted tables with all that they need and all that belongs to them; and what of that is left out.
fn take(
    entries: &Entries<'_>,
    by_id: &BTreeMap<u32, &Entry<'_>>,
    wanted: &BTreeSet<u32>,
) -> (BTreeSet<u32>, Vec<String>) {
    let mut taken = BTreeSet::new();
    need(by_id, wanted.iter().copied(), &mut taken);
    let mut left_out: BTreeMap<u32, String> = BTreeMap::new();
    loop {
        let before = taken.len();
        for (id, entry) in entries.iter().filter(|(_, entry)| !entry.needs.is_empty()) {
            if taken.contains(id) {
                continue;
            }
            if entry.kind == ROWS {
                taken.extend(entry.needs.iter().all(|table| wanted.contains(table)).then_some(*id));
            } else if ABOUT.contains(&entry.kind) {
                taken.extend(entry.needs.is_subset(&taken).then_some(*id));
            } else if OF_A_TABLE.contains(&entry.kind) && entry.needs.iter().any(|table| wanted.contains(table)) {
                let mut more = taken.clone();
                need(by_id, [*id], &mut more);
                let other = |id: &&u32| by_id.get(id).is_some_and(|entry| RELATIONS.contains(&entry.kind));
                match more.difference(&taken).find(other) {
                    Some(_) if is_of_another(entry, by_id, wanted) => {}
                    Some(_) => drop(left_out.insert(*id, entry.phrase())),
                    None => taken = more,
                }
            }
        }
        if taken.len() == before {
            break;
        }
    }
    left_out.retain(|id, _| !taken.contains(id));
    (taken, left_out.into_values().collect())
}

/// A foreign key, rule or policy of another table that only refers to one that is wanted.
fn is_of_another(entry: &Entry<'_>, by_id: &BTreeMap<u32, &Entry<'_>>, wanted: &BTreeSet<u32>) -> bool {
    let tables = entry.needs.iter().filter(|id| by_id.get(id).is_some_and(|other| RELATIONS.contains(&other.kind)));
    let owner = |id: &&u32| by_id.get(id).is_some_and(|table| is_named_after(entry, table));
    tables.into_iter().find(owner).is_some_and(|id| !wanted.contains(id))
}

/// `app orders orders_user_id_fkey me` after `app orders me`: by schema and name of the table.
fn is_named_after(entry: &Entry<'_>, table: &Entry<'_>) -> bool {
    let (name, _owner) = table.named.trim_end().rsplit_once(' ').unwrap_or((table.named, ""));
    entry.named.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '))
}

/// Adds these, and all that they need.
fn need(by_id: &BTreeMap<u32, &Entry<'_>>, ids: impl IntoIterator<Item = u32>, taken: &mut BTreeSet<u32>) {
    let mut open: Vec<u32> = ids.into_iter().collect();
    while let Some(id) = open.pop() {
        if let Some(entry) = by_id.get(&id)
            && taken.insert(id)
        {
            open.extend(&entry.needs);
        }
    }
}
