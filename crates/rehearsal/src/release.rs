//! `[[releases]]`: which migrations go out together, and up to where the code of before still works.

use schemars::JsonSchema;
use serde::Deserialize;

/// A stretch of the migrations that goes out together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// The newest version of the release before; 0 when there is none.
    pub after: i64,
    /// The newest version with which the code of the release before still works; what comes behind it
    /// is the contract part. Without it, that code works with all of the release.
    pub expand: Option<i64>,
    /// Its own newest version.
    pub to: i64,
}

impl Release {
    /// The newest version with which the code of the release before still works.
    #[must_use]
    pub fn expanded(&self) -> i64 {
        self.expand.unwrap_or(self.to)
    }

    /// Where a run stops on its way from `at` to the end of this release: behind the expand part, where
    /// old and new code meet, and at its end.
    #[must_use]
    pub fn stops(&self, at: i64) -> Vec<i64> {
        let mut stops = vec![self.expanded(), self.to];
        stops.dedup();
        stops.retain(|version| *version > at);
        stops
    }

    /// Whether a version is one of its own.
    #[must_use]
    pub fn holds(&self, version: i64) -> bool {
        self.after < version && version <= self.to
    }
}

/// The first release that cannot be meant, by its place in the list, and why.
pub(crate) fn complaint(releases: &[Release]) -> Option<(usize, String)> {
    releases.iter().enumerate().find_map(|(index, release)| {
        let Release { name, after, to, .. } = release;
        let before = index.checked_sub(1).and_then(|before| releases.get(before));
        let reason = if after >= to {
            "`after` must be less than `to`".into()
        } else if !release.holds(release.expanded()) {
            format!("`expand` must be more than `after` ({after}) and at most `to` ({to})")
        } else if releases[..index].iter().any(|other| other.name == *name) {
            "there is another one of that name".into()
        } else if let Some(before) = before.filter(|before| before.to > *after) {
            format!(
                "it must stand behind the releases before it: `after` is less than the `to` of `{}` ({})",
                before.name, before.to
            )
        } else {
            return None;
        };
        Some((index, format!("release `{name}`: {reason}")))
    })
}

/// The releases that pending versions belong to, oldest first.
pub(crate) fn pending<'a>(releases: &'a [Release], versions: &[i64]) -> Vec<&'a Release> {
    releases.iter().filter(|release| versions.iter().any(|version| release.holds(*version))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(name: &str, after: i64, expand: Option<i64>, to: i64) -> Release {
        Release { name: name.into(), after, expand, to }
    }

    #[test]
    fn expand_lies_inside() {
        for (expand, fine) in [(None, true), (Some(3), true), (Some(5), true), (Some(2), false), (Some(6), false)] {
            assert_eq!(complaint(&[release("R", 2, expand, 5)]).is_none(), fine, "{expand:?}");
        }
    }

    #[test]
    fn releases_follow_each_other_under_names_of_their_own() {
        let first = release("R1", 0, None, 3);
        assert_eq!(complaint(&[first.clone(), release("R2", 3, None, 4)]), None);
        for wrong in [release("R2", 2, None, 4), release("R1", 3, None, 4)] {
            assert!(complaint(&[first.clone(), wrong]).is_some_and(|(index, _)| index == 1));
        }
    }

    #[test]
    fn a_run_stops_where_old_and_new_code_meet() {
        let split = release("R", 2, Some(4), 5);
        assert_eq!(split.stops(2), [4, 5]);
        assert_eq!(split.stops(4), [5]);
        assert_eq!(split.stops(5), [0; 0]);
        assert_eq!(release("R", 2, None, 5).stops(2), [5]);
    }
}
