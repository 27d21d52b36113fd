//! Which rule each column has. Decided before a row is touched, and pure: a column without one ends the run.

use std::collections::BTreeMap;

use super::catalog::{Catalog, Column, ForeignKey, Kind, Table};
use super::config::{AnonymiseConfig, Keys};
use super::expression;
use super::failure::AnonymiseError;
use super::pattern;
use super::rule::Rule;
use crate::postgres::contents::TableName;

/// What becomes of every table.
#[derive(Debug)]
pub(super) struct Plan {
    pub tables: Vec<Planned>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Names in the configuration that nothing in the database has.
    pub unused: Vec<String>,
}

/// What becomes of a table.
#[derive(Debug)]
pub(super) struct Planned {
    pub table: Table,
    pub public: bool,
    /// Columns that do not stay as they are.
    pub changes: Vec<Change>,
}

/// What becomes of a column.
#[derive(Debug)]
pub(super) struct Change {
    pub column: Column,
    pub rule: Rule,
}

/// A column as rules name it.
type Place = (TableName, String);

/// Gives each column its rule.
pub(super) fn plan(config: &AnonymiseConfig, catalog: &Catalog) -> Result<Plan, AnonymiseError> {
    let mut complaints = Vec::new();
    let public = |table: &Table| {
        let name = table.known_as();
        config.public_tables().any(|(_, pattern)| pattern.fits(&[&name.schema, &name.name]))
    };
    let mut rules: BTreeMap<Place, Rule> = BTreeMap::new();
    for table in &catalog.tables {
        for column in table.columns.iter().filter(|column| !column.generated) {
            match chosen(config, table.known_as(), &column.name) {
                Ok(Some(rule)) => drop(rules.insert(place(table.known_as(), &column.name), rule.clone())),
                Ok(None) if public(table) => drop(rules.insert(place(table.known_as(), &column.name), Rule::Keep)),
                Ok(None) => {}
                Err(complaint) => complaints.push(complaint),
            }
        }
    }
    // Whoever has written two rules has not forgotten one.
    if !complaints.is_empty() {
        return Err(AnonymiseError::Rules { complaints });
    }
    inherit(&mut rules, &catalog.foreign_keys);
    let mut missing: BTreeMap<Place, &Column> = BTreeMap::new();
    let mut tables = Vec::new();
    for table in &catalog.tables {
        let mut changes = Vec::new();
        for column in table.columns.iter().filter(|column| !column.generated) {
            let at = place(table.known_as(), &column.name);
            let is_kept_key =
                config.keys == Some(Keys::Keep) && column.key && matches!(column.kind, Kind::Integer(_) | Kind::Uuid);
            if is_kept_key {
                rules.entry(at.clone()).or_insert(Rule::Keep);
            }
            match rules.get(&at) {
                None => drop(missing.insert(at, column)),
                Some(rule) => {
                    if let Some(reason) = expression::objection(rule, column) {
                        complaints.push(format!("{}: {} does not fit: {reason}", written(&at), rule.describe()));
                    }
                    if *rule != Rule::Keep {
                        changes.push(Change { column: column.clone(), rule: rule.clone() });
                    }
                }
            }
        }
        tables.push(Planned { table: table.clone(), public: public(table), changes });
    }
    if !missing.is_empty() {
        let columns = missing.len();
        return Err(AnonymiseError::NoRule { columns, paste: paste(&missing) });
    }
    complaints.extend(catalog.foreign_keys.iter().flat_map(|key| disagreement(key, &rules, catalog)));
    complaints.dedup();
    if !complaints.is_empty() {
        return Err(AnonymiseError::Rules { complaints });
    }
    Ok(Plan { tables, foreign_keys: catalog.foreign_keys.clone(), unused: unused(config, catalog) })
}

fn place(table: &TableName, column: &str) -> Place {
    (table.clone(), column.to_owned())
}

/// As it is written in the configuration; `public` goes without saying.
fn written((table, column): &Place) -> String {
    if table.schema == "public" {
        pattern::write(&[&table.name, column])
    } else {
        pattern::write(&[&table.schema, &table.name, column])
    }
}

/// The rule whose name says most of the column's.
fn chosen<'a>(config: &'a AnonymiseConfig, table: &TableName, column: &str) -> Result<Option<&'a Rule>, String> {
    let name = [table.schema.as_str(), &table.name, column];
    let fitting: Vec<_> = config.rules().filter(|(_, pattern, _)| pattern.fits(&name)).collect();
    let Some(most) = fitting.iter().map(|(_, pattern, _)| pattern.weight()).max() else { return Ok(None) };
    let mut best = fitting.iter().filter(|(_, pattern, _)| pattern.weight() == most);
    let (first_name, _, first) = best.next().ok_or("no rule fits")?;
    match best.find(|(_, _, rule)| rule != first) {
        None => Ok(Some(first)),
        Some((other, ..)) => {
            Err(format!("{}: `{first_name}` and `{other}` say different things", written(&place(table, column))))
        }
    }
}

/// A column that refers to another one gets its rule, if it has none of its own.
fn inherit(rules: &mut BTreeMap<Place, Rule>, keys: &[ForeignKey]) {
    loop {
        let found = keys.iter().flat_map(ForeignKey::pairs).find_map(|(child, parent)| {
            (!rules.contains_key(&child)).then(|| rules.get(&parent).map(|rule| (child, rule.clone())))?
        });
        match found {
            Some((child, rule)) => drop(rules.insert(child, rule)),
            None => return,
        }
    }
}

impl ForeignKey {
    /// Its columns with those that they refer to.
    fn pairs(&self) -> impl Iterator<Item = (Place, Place)> {
        self.child_columns
            .iter()
            .zip(&self.parent_columns)
            .map(|(child, parent)| (place(&self.child, child), place(&self.parent, parent)))
    }
}

/// Columns that refer to each other must become the same. A reference may always be taken away.
fn disagreement(key: &ForeignKey, rules: &BTreeMap<Place, Rule>, catalog: &Catalog) -> Vec<String> {
    let column = |(table, name): &Place| {
        let table = catalog.tables.iter().find(|other| other.known_as() == table)?;
        table.columns.iter().find(|column| column.name == *name)
    };
    key.pairs()
        .filter_map(|(child, parent)| {
            let (of_child, of_parent) = (rules.get(&child)?, rules.get(&parent)?);
            if *of_child == Rule::Null || (*of_child == Rule::Keep && *of_parent == Rule::Keep) {
                return None;
            }
            let names = (written(&child), written(&parent));
            if of_child != of_parent {
                let (child, parent) = (of_child.describe(), of_parent.describe());
                return Some(format!(
                    "{} refers to {} and must have its rule: {child}, and there {parent}",
                    names.0, names.1
                ));
            }
            let (child, parent) = (column(&child)?, column(&parent)?);
            (child.kind != parent.kind || child.length != parent.length).then(|| {
                format!(
                    "{} is {} and refers to {}, which is {}: they would become different",
                    names.0, child.type_name, names.1, parent.type_name
                )
            })
        })
        .collect()
}

/// Names that fit nothing: mistyped, or of a column that is gone.
fn unused(config: &AnonymiseConfig, catalog: &Catalog) -> Vec<String> {
    let tables = || catalog.tables.iter().map(Table::known_as);
    let columns = config.rules().filter(|(_, pattern, _)| {
        !catalog.tables.iter().any(|table| {
            let name = table.known_as();
            table.columns.iter().any(|column| pattern.fits(&[&name.schema, &name.name, &column.name]))
        })
    });
    let public =
        config.public_tables().filter(|(_, pattern)| !tables().any(|name| pattern.fits(&[&name.schema, &name.name])));
    columns.map(|(name, ..)| name).chain(public.map(|(name, _)| name)).map(str::to_owned).collect()
}

/// The missing rules as they can be put into `rehearsal.toml`, each with a proposal that gives nothing away; where
/// there is none, with a mark that is no rule.
fn paste(missing: &BTreeMap<Place, &Column>) -> String {
    let lines: Vec<String> = missing
        .iter()
        .map(|(at, column)| {
            let proposal = proposal(column);
            let name = toml::Value::String(written(at));
            let mut about = vec![column.type_name.clone()];
            about.extend(column.key.then(|| "key".to_owned()));
            about.extend(column.unique.then(|| "unique".to_owned()));
            format!("{name} = {proposal} # {}", about.join(", "))
        })
        .collect();
    format!("[anonymise.columns]\n{}", lines.join("\n"))
}

fn proposal(column: &Column) -> &'static str {
    let days = Rule::Shift { days: 30 };
    let proposals =
        [("\"pseudonym\"", Rule::Pseudonym), ("\"keep-format\"", Rule::KeepFormat), ("{ shift = \"30days\" }", days)];
    let is_safe = |rule: &Rule| !column.key && expression::objection(rule, column).is_none();
    let numbers = matches!(column.kind, Kind::Integer(_));
    proposals.iter().find(|(_, rule)| !numbers && is_safe(rule)).map_or("\"?\"", |(text, _)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind, type_name: &str) -> Column {
        let (length, not_null, generated) = (None, false, false);
        let (key, unique, partition_key) = (false, false, false);
        Column {
            name: name.into(),
            type_name: type_name.into(),
            kind,
            length,
            not_null,
            generated,
            key,
            unique,
            partition_key,
        }
    }

    fn table(name: &str, columns: Vec<Column>) -> Table {
        Table { name: TableName { schema: "public".into(), name: name.into() }, root: None, columns }
    }

    fn config(text: &str) -> AnonymiseConfig {
        toml::from_str(text).expect("a configuration")
    }

    fn catalog() -> Catalog {
        let mut id = column("id", Kind::Integer(32), "bigint");
        (id.key, id.not_null, id.unique) = (true, true, true);
        let email = column("email", Kind::Text, "text");
        let mut owner = column("owner", Kind::Text, "text");
        owner.key = true;
        let at = column("made_at", Kind::Timestamp, "timestamp with time zone");
        let tables = vec![table("users", vec![id, email, at]), table("<things>", vec![owner])];
        let [child, parent] = [1, 0].map(|index: usize| tables[index].name.clone());
        let key = ForeignKey {
            name: "fk".into(),
            child,
            child_columns: vec!["owner".into()],
            parent,
            parent_columns: vec!["email".into()],
            owned: false,
            required: false,
            child_is_partitioned: false,
            parent_is_partitioned: false,
        };
        Catalog { tables, foreign_keys: vec![key] }
    }

    #[test]
    fn all_missing_columns_are_told_so_that_they_can_be_pasted() {
        let Err(AnonymiseError::NoRule { columns, paste }) = plan(&config(""), &catalog()) else { panic!("refused") };
        assert_eq!(columns, 4);
        let table: toml::Table = paste.parse().expect("TOML");
        let rules = table["anonymise"]["columns"].as_table().expect("columns");
        assert_eq!(rules["users.email"].as_str(), Some("pseudonym"));
        assert_eq!(rules["users.id"].as_str(), Some("?"), "nothing is kept without a word");
        assert!(rules.contains_key("<things>.owner"));
    }

    #[test]
    fn a_reference_takes_over_the_rule() {
        let text = "keys = 'keep'\n[columns]\n'*.email' = 'pseudonym'\n'users.made_at' = 'keep'";
        let plan = plan(&config(text), &catalog()).expect("all have rules");
        let rules: Vec<_> = plan.tables.iter().flat_map(|table| &table.changes).map(|change| &change.rule).collect();
        assert_eq!(rules, [&Rule::Pseudonym, &Rule::Pseudonym]);
        let other = format!("{text}\n'<things>.owner' = 'keep'");
        let refused = super::plan(&config(&other), &catalog()).expect_err("refused").to_string();
        assert!(refused.contains("refers to users.email"), "{refused}");
    }

    #[test]
    fn the_name_that_says_most_counts() {
        let text = "public = ['<things>']\n[columns]\n'*.*' = 'keep'\n'users.*' = 'null'\n'users.id' = 'keep'\n'*.email' = 'mask'";
        let refused = plan(&config(text), &catalog()).expect_err("two say as much").to_string();
        assert!(refused.contains("`*.email` and `users.*` say different things"), "{refused}");
    }
}
