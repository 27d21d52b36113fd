//! A share of the rows, with whatever they refer to.
//!
//! Tables that belong to nobody begin: a share of their rows. The rows that belong to those come with them, down
//! the foreign keys (`ON DELETE CASCADE` says best what belongs to what). At last whatever a kept row refers to is
//! kept as well, as often as that adds something: so cycles and tables that refer to themselves come out whole.

use std::collections::BTreeMap;

use super::catalog::ForeignKey;
use super::coverage::Plan;
use crate::error::Result;
use crate::postgres::contents::TableName;
use crate::postgres::identifier::{qualified, quote};
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;

/// How much of it, as a share of 1, and as the user has said it.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// More than 0, less than 1.
    pub of_one: f64,
    /// `5%`
    pub said: String,
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match percent.filter(|percent| *percent > 0.0 && *percent < 100.0) {
            Some(percent) => Ok(Self { of_one: percent / 100.0, said: text.to_owned() }),
            None => Err("it must be a share like 5%".into()),
        }
    }
}

/// A table as foreign keys see it: a partitioned one is one.
struct Unit<'a> {
    name: &'a TableName,
    partitioned: bool,
    /// All of it is kept.
    whole: bool,
    /// Where the rows that are kept are written down.
    kept: String,
}

impl Unit<'_> {
    fn from(&self) -> String {
        format!("{}{}", if self.partitioned { "" } else { "ONLY " }, qualified(&self.name.schema, &self.name.name))
    }
}

/// Takes away all other rows. Gives how many are left in which table.
pub(super) async fn take(session: &mut Session, plan: &Plan, share: &Share) -> Result<Vec<(TableName, u64)>> {
    let mut units: BTreeMap<&TableName, Unit<'_>> = BTreeMap::new();
    for planned in &plan.tables {
        let (number, name) = (units.len(), planned.table.known_as());
        let (partitioned, whole) = (planned.table.root.is_some(), planned.public);
        let kept = format!("rehearsal_anonymise.kept_{number}");
        units.entry(name).or_insert(Unit { name, partitioned, whole, kept });
    }
    for unit in units.values().filter(|unit| !unit.whole) {
        run(session, &format!("CREATE TABLE {} (part oid, place tid, PRIMARY KEY (part, place))", unit.kept)).await?;
    }
    let owners = owners(&units, &plan.foreign_keys);
    let order = in_order(&units, &owners);
    for (place, name) in order.iter().enumerate() {
        let unit = &units[name];
        let sql = match owners.get(name).filter(|key| order[..place].contains(&&key.parent)) {
            Some(key) => belonging(unit, &units[&key.parent], key, share),
            None => share_of(unit, share),
        };
        run(session, &sql).await?;
    }
    complete(session, &units, &plan.foreign_keys).await?;
    let mut left = Vec::new();
    for unit in units.values().filter(|unit| !unit.whole) {
        let sql = format!(
            "DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM {} k WHERE k.part = t.tableoid AND k.place = t.ctid)",
            unit.from(),
            unit.kept
        );
        run(session, &sql).await?;
        let rows = session.fetch_text(&format!("SELECT count(*) FROM {}", unit.kept), 1).await.map_err(doing())?;
        let rows = rows.rows.into_iter().next().and_then(|mut row| row.swap_remove(0));
        left.push((unit.name.clone(), rows.and_then(|rows| rows.parse().ok()).unwrap_or_default()));
        run(session, &format!("DROP TABLE {}", unit.kept)).await?;
    }
    Ok(left)
}

fn doing() -> impl FnOnce(Stopped) -> crate::Error {
    Stopped::doing("take a sample of the rows")
}

async fn run(session: &mut Session, sql: &str) -> Result<u64> {
    session.execute(sql).await.map(|done| done.rows_affected()).map_err(doing())
}

/// Which foreign key says what a table's rows belong to.
fn owners<'a>(
    units: &BTreeMap<&TableName, Unit<'_>>,
    keys: &'a [ForeignKey],
) -> BTreeMap<&'a TableName, &'a ForeignKey> {
    let mut owners: BTreeMap<&TableName, &ForeignKey> = BTreeMap::new();
    let samples = |name| units.get(name).is_some_and(|unit| !unit.whole);
    for key in keys.iter().filter(|key| key.child != key.parent && samples(&key.child) && samples(&key.parent)) {
        let best = owners.entry(&key.child).or_insert(key);
        if (key.owned, key.required) > (best.owned, best.required) {
            *best = key;
        }
    }
    owners
}

/// Owners first. Where tables own each other in a circle, the first of them belongs to nobody.
fn in_order<'a>(
    units: &BTreeMap<&'a TableName, Unit<'_>>,
    owners: &BTreeMap<&TableName, &ForeignKey>,
) -> Vec<&'a TableName> {
    let mut order: Vec<&TableName> = Vec::new();
    for name in units.iter().filter(|(_, unit)| !unit.whole).map(|(name, _)| *name) {
        let mut chain = vec![name];
        while let Some(key) = chain.last().and_then(|last| owners.get(*last)) {
            match units.keys().find(|unit| ***unit == key.parent) {
                Some(parent) if !chain.contains(parent) && !order.contains(parent) => chain.push(parent),
                _ => break,
            }
        }
        for name in chain.into_iter().rev() {
            if !order.contains(&name) {
                order.push(name);
            }
        }
    }
    order
}

/// A share of a table's rows, and one at least. Which ones depends on where they lie: the next run on the same
/// backup takes the same.
fn share_of(unit: &Unit<'_>, share: &Share) -> String {
    format!(
        "INSERT INTO {} SELECT part, place FROM ( \
            SELECT tableoid AS part, ctid AS place, row_number() OVER (ORDER BY md5(concat(tableoid, ctid))) AS number, \
                   count(*) OVER () AS rows FROM {}) AS numbered \
         WHERE number <= greatest(1, ceil(rows * {}::float8))",
        unit.kept,
        unit.from(),
        share.of_one
    )
}

/// The rows that belong to kept ones, and a share of those that belong to nobody.
fn belonging(unit: &Unit<'_>, owner: &Unit<'_>, key: &ForeignKey, share: &Share) -> String {
    let orphan: Vec<String> = key.child_columns.iter().map(|column| format!("c.{} IS NULL", quote(column))).collect();
    format!(
        "INSERT INTO {} SELECT c.tableoid, c.ctid FROM {} c WHERE EXISTS ( \
            SELECT FROM {} p JOIN {} k ON k.part = p.tableoid AND k.place = p.ctid WHERE {}) \
         OR (({}) AND ('x' || left(md5(concat(c.tableoid, c.ctid)), 8))::bit(32)::bigint < {}::float8 * 4294967296)",
        unit.kept,
        unit.from(),
        owner.from(),
        owner.kept,
        joined(key),
        orphan.join(" OR "),
        share.of_one
    )
}

fn joined(key: &ForeignKey) -> String {
    let pairs = key.child_columns.iter().zip(&key.parent_columns);
    pairs.map(|(child, parent)| format!("p.{} = c.{}", quote(parent), quote(child))).collect::<Vec<_>>().join(" AND ")
}

/// Adds what kept rows refer to, until nothing is missing.
async fn complete(session: &mut Session, units: &BTreeMap<&TableName, Unit<'_>>, keys: &[ForeignKey]) -> Result<()> {
    loop {
        let mut added = 0;
        for key in keys {
            let (Some(child), Some(parent)) = (units.get(&key.child), units.get(&key.parent)) else { continue };
            if parent.whole {
                continue;
            }
            let of_kept = if child.whole {
                String::new()
            } else {
                format!(" JOIN {} k ON k.part = c.tableoid AND k.place = c.ctid", child.kept)
            };
            let sql = format!(
                "INSERT INTO {} SELECT DISTINCT p.tableoid, p.ctid FROM {} p, {} c{of_kept} WHERE {} ON CONFLICT DO NOTHING",
                parent.kept,
                parent.from(),
                child.from(),
                joined(key)
            );
            added += run(session, &sql).await?;
        }
        if added == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!("5%".parse::<Share>().map(|share| share.of_one), Ok(0.05));
        for wrong in ["5", "0%", "100%", "-1%", "x%", ""] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
