//! Which backups stay. Pure: entries in, a decision for each out. Only the manifests' times count, and those
//! only against each other: what time it is now makes nothing go.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, State};

/// `[backup.keep]`: how many of each stay. What none of them keeps goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// The newest.
    pub last: usize,
    /// The newest of each of the newest days that have one; days, weeks and years are UTC's.
    pub daily: usize,
    /// The same by weeks (ISO 8601).
    pub weekly: usize,
    /// The same by months.
    pub monthly: usize,
    /// The same by years.
    pub yearly: usize,
}

impl Keep {
    /// Nothing is said: nothing is ever removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a backup, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Which one.
    pub id: String,
    /// When it was made, by its manifest.
    pub made_at: DateTime<Utc>,
    /// Its size, as it is stored.
    pub bytes: u64,
    /// It goes.
    pub removed: bool,
    /// Why.
    pub reason: String,
}

/// What is known of a backup when it is decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    id: String,
    made_at: DateTime<Utc>,
    bytes: u64,
    standing: Standing,
    /// The database that it is of: its server's number and its name. Each has its own newest one.
    series: (Option<String>, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Proven,
    NotProven,
    FoundWrong,
    OfTheFuture,
}

/// Decides about every backup, oldest first. What is no backup is not decided about.
#[must_use]
pub fn decide(entries: &[Entry], keep: &Keep, now: DateTime<Utc>) -> Vec<Decision> {
    let candidate = |entry: &Entry| {
        let State::Backup(manifest) = &entry.state else { return None };
        let standing = if entry.is_of_the_future(now) {
            Standing::OfTheFuture
        } else if entry.proven().is_some() {
            Standing::Proven
        } else if manifest.is_proven() {
            Standing::FoundWrong
        } else {
            Standing::NotProven
        };
        let bytes = manifest.files.iter().map(|file| file.at_rest().1).sum();
        let server = manifest.origin.as_ref().and_then(|origin| origin.system_identifier.clone());
        let series = (server, manifest.database.clone());
        Some(Candidate { id: entry.id.clone(), made_at: manifest.made_at, bytes, standing, series })
    };
    let candidates: Vec<Candidate> = entries.iter().filter_map(candidate).collect();
    decide_by_series(&candidates, keep)
}

/// In the order of the candidates.
fn decide_by_series(candidates: &[Candidate], keep: &Keep) -> Vec<Decision> {
    let mut series: BTreeMap<_, Vec<(usize, Candidate)>> = BTreeMap::new();
    for (place, candidate) in candidates.iter().enumerate() {
        series.entry(&candidate.series).or_default().push((place, candidate.clone()));
    }
    let mut decisions = BTreeMap::new();
    for placed in series.into_values() {
        let (places, candidates): (Vec<_>, Vec<_>) = placed.into_iter().unzip();
        decisions.extend(places.into_iter().zip(decide_about(&candidates, keep)));
    }
    decisions.into_values().collect()
}

fn decide_about(candidates: &[Candidate], keep: &Keep) -> Vec<Decision> {
    let proven: Vec<&Candidate> =
        candidates.iter().filter(|candidate| candidate.standing == Standing::Proven).collect();
    let newest = proven.last().map(|newest| newest.made_at);
    let kept = kept(&proven, keep);
    let decision = |candidate: &Candidate| {
        let superseded = |what: &str| {
            let older = newest.is_some_and(|newest| candidate.made_at < newest);
            (older, format!("{what}, and {} newer one is proven", if older { "a" } else { "no" }))
        };
        let (removed, reason) = match candidate.standing {
            Standing::OfTheFuture => (false, "its time is in the future: some clock is or was wrong".into()),
            Standing::NotProven => superseded("it is not proven"),
            Standing::FoundWrong => superseded("a check found it wrong"),
            Standing::Proven => {
                let rules: Vec<&str> =
                    kept.iter().filter(|(id, _)| *id == candidate.id).map(|(_, rule)| *rule).collect();
                if rules.is_empty() { (true, "no rule keeps it".into()) } else { (false, rules.join(", ")) }
            }
        };
        let Candidate { id, made_at, bytes, .. } = candidate.clone();
        Decision { id, made_at, bytes, removed, reason }
    };
    candidates.iter().map(decision).collect()
}

/// Which proven backups stay, each with a rule that keeps it.
fn kept<'a>(proven: &[&'a Candidate], keep: &Keep) -> Vec<(&'a str, &'static str)> {
    let mut kept: Vec<(&str, &'static str)> = Vec::new();
    // Whatever the rules say.
    if let Some(newest) = proven.last() {
        kept.push((&newest.id, "the newest proven one"));
    }
    kept.extend(proven.iter().rev().take(keep.last).skip(1).map(|candidate| (candidate.id.as_str(), "last")));
    type Period = fn(DateTime<Utc>) -> (i32, u32);
    let periods: [(&'static str, usize, Period); 4] = [
        ("daily", keep.daily, |at| (at.year(), at.ordinal())),
        ("weekly", keep.weekly, |at| (at.iso_week().year(), at.iso_week().week())),
        ("monthly", keep.monthly, |at| (at.year(), at.month())),
        ("yearly", keep.yearly, |at| (at.year(), 0)),
    ];
    for (name, number, period) in periods {
        let mut seen = BTreeSet::new();
        for candidate in proven.iter().rev() {
            if seen.len() < number && seen.insert(period(candidate.made_at)) {
                kept.push((&candidate.id, name));
            }
        }
    }
    kept
}

/// Why nothing should be removed now: the newest attempt did not become a proven backup, so older ones may
/// be needed.
#[must_use]
pub fn doubt(entries: &[Entry], now: DateTime<Utc>) -> Option<String> {
    let proven = entries.iter().rev().find(|entry| entry.proven().is_some() && !entry.is_of_the_future(now));
    let Some(newest) = proven else { return Some("there is no proven backup".into()) };
    // Names open with the time they were made at.
    let later = |entry: &&Entry| entry.id > newest.id && !entry.is_of_the_future(now);
    entries.iter().filter(later).find_map(|entry| match &entry.state {
        State::Backup(_) if entry.proven().is_none() => Some(format!("a newer one, {}, is not proven", entry.id)),
        State::Damaged { reason } => Some(format!("a newer one, {}, cannot be read: {reason}", entry.id)),
        State::Unfinished { .. } => Some(format!("a newer one, {}, is not finished", entry.id)),
        State::Backup(_) | State::Exported => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use proptest::prelude::*;

    fn at(hours: u32, standing: Standing) -> Candidate {
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("a time");
        let made_at = start + chrono::TimeDelta::hours(hours.into());
        let series = (None, "app".into());
        Candidate { id: format!("{hours:06}"), made_at, bytes: 1, standing, series }
    }

    fn removed(candidates: &[Candidate], keep: &Keep) -> Vec<String> {
        let decisions = decide_about(candidates, keep);
        decisions.into_iter().filter(|decision| decision.removed).map(|decision| decision.id).collect()
    }

    #[test]
    fn the_newest_of_each_period_stays() {
        let days: Vec<Candidate> = (0..30).map(|day| at(day * 24 + 3, Standing::Proven)).collect();
        let keep = Keep { last: 2, daily: 3, weekly: 2, monthly: 1, yearly: 1 };
        let gone = removed(&days, &keep);
        let stay: Vec<u32> = (0..30).filter(|day| !gone.contains(&days[*day as usize].id)).collect();
        // January 30th is a Friday: the week before ends on Sunday, the 25th.
        assert_eq!(stay, [24, 27, 28, 29]);
    }

    #[test]
    fn one_that_is_not_proven_stays_until_a_newer_one_is() {
        let keep = Keep { last: 5, ..Keep::default() };
        assert!(removed(&[at(1, Standing::NotProven), at(2, Standing::NotProven)], &keep).is_empty());
        let gone = removed(&[at(1, Standing::NotProven), at(2, Standing::Proven), at(3, Standing::FoundWrong)], &keep);
        assert_eq!(gone, ["000001"]);
    }

    fn standings() -> impl Strategy<Value = Standing> {
        prop_oneof![
            4 => Just(Standing::Proven),
            1 => Just(Standing::NotProven),
            1 => Just(Standing::FoundWrong),
            1 => Just(Standing::OfTheFuture)
        ]
    }

    fn keeps() -> impl Strategy<Value = Keep> {
        (0usize..4, 0usize..4, 0usize..4, 0usize..4, 0usize..3)
            .prop_map(|(last, daily, weekly, monthly, yearly)| Keep { last, daily, weekly, monthly, yearly })
    }

    fn histories() -> impl Strategy<Value = Vec<Candidate>> {
        proptest::collection::btree_map(0u32..9_000, standings(), 0..40)
            .prop_map(|history| history.into_iter().map(|(hours, standing)| at(hours, standing)).collect())
    }

    proptest! {
        #[test]
        fn the_newest_proven_one_always_stays(history in histories(), keep in keeps()) {
            let newest = history.iter().rev().find(|candidate| candidate.standing == Standing::Proven);
            if let Some(newest) = newest {
                prop_assert!(!removed(&history, &keep).contains(&newest.id));
            }
        }

        /// Neither a backup of the future nor one that is not proven makes another one go.
        #[test]
        fn what_does_not_count_removes_nothing(history in histories(), keep in keeps()) {
            let proven: Vec<Candidate> =
                history.iter().filter(|candidate| candidate.standing == Standing::Proven).cloned().collect();
            let is_proven = |id: &String| proven.iter().any(|candidate| candidate.id == *id);
            let among_all: Vec<String> = removed(&history, &keep).into_iter().filter(is_proven).collect();
            prop_assert_eq!(among_all, removed(&proven, &keep));
        }

        /// Whoever prunes twice removes nothing more.
        #[test]
        fn once_is_enough(history in histories(), keep in keeps()) {
            let gone = removed(&history, &keep);
            let left: Vec<Candidate> = history.into_iter().filter(|candidate| !gone.contains(&candidate.id)).collect();
            prop_assert_eq!(removed(&left, &keep), Vec::<String>::new());
        }
    }
}
