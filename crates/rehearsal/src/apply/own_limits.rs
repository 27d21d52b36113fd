//! Limits that one target or one file has of its own.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::human_time::HumanTime;

use super::limits::Limits;
use super::window::Window;

/// What `[targets.NAME.limits]` or the head of a file sets. What is missing is as it is elsewhere: a file's own
/// limits go over those of the target, which go over `[limits]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnLimits {
    /// See [`Limits::lock_timeout`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub lock_timeout: Option<Duration>,
    /// See [`Limits::lock_timeout_most`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub lock_timeout_most: Option<Duration>,
    /// See [`Limits::lock_tries`].
    pub lock_tries: Option<u32>,
    /// See [`Limits::lock_budget`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub lock_budget: Option<Duration>,
    /// See [`Limits::statement_timeout`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub statement_timeout: Option<Duration>,
    /// See [`Limits::concurrently_timeout`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub concurrently_timeout: Option<Duration>,
    /// See [`Limits::batch_rows`].
    pub batch_rows: Option<u64>,
    /// See [`Limits::batch_time`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub batch_time: Option<Duration>,
    /// See [`Limits::replication_lag`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub replication_lag: Option<Duration>,
    /// See [`Limits::pause_file`].
    pub pause_file: Option<PathBuf>,
    /// See [`Limits::batch_window`].
    pub batch_window: Option<Window>,
    /// See [`Limits::check_timeout`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub check_timeout: Option<Duration>,
    /// See [`Limits::run_lock_patience`].
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<HumanTime>")]
    pub run_lock_patience: Option<Duration>,
}

/// What a file may set. The rest is decided before any file is looked at.
pub const OF_A_FILE: [&str; 8] = [
    "lock_timeout",
    "lock_timeout_most",
    "lock_tries",
    "lock_budget",
    "statement_timeout",
    "concurrently_timeout",
    "batch_rows",
    "batch_time",
];

impl OwnLimits {
    /// `base`, with these in the place of its own.
    #[must_use]
    pub fn over(&self, base: &Limits) -> Limits {
        Limits {
            lock_timeout: self.lock_timeout.unwrap_or(base.lock_timeout),
            lock_timeout_most: self.lock_timeout_most.unwrap_or(base.lock_timeout_most),
            lock_tries: self.lock_tries.unwrap_or(base.lock_tries),
            lock_budget: self.lock_budget.unwrap_or(base.lock_budget),
            statement_timeout: self.statement_timeout.unwrap_or(base.statement_timeout),
            concurrently_timeout: self.concurrently_timeout.unwrap_or(base.concurrently_timeout),
            batch_rows: self.batch_rows.unwrap_or(base.batch_rows),
            batch_time: self.batch_time.unwrap_or(base.batch_time),
            replication_lag: self.replication_lag.unwrap_or(base.replication_lag),
            pause_file: self.pause_file.as_ref().or(base.pause_file.as_ref()).cloned(),
            batch_window: self.batch_window.as_ref().or(base.batch_window.as_ref()).cloned(),
            check_timeout: self.check_timeout.unwrap_or(base.check_timeout),
            run_lock_patience: self.run_lock_patience.unwrap_or(base.run_lock_patience),
            unsure: base.unsure,
        }
    }

    /// Nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets one of [`OF_A_FILE`] to what the text says.
    ///
    /// # Errors
    /// What is wrong with it, as a phrase that begins with the name.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let twice = match name {
            "lock_timeout" => self.lock_timeout.replace(duration(name, value)?).is_some(),
            "lock_timeout_most" => self.lock_timeout_most.replace(duration(name, value)?).is_some(),
            "lock_tries" => self.lock_tries.replace(count(name, value)?).is_some(),
            "lock_budget" => self.lock_budget.replace(duration(name, value)?).is_some(),
            "statement_timeout" => self.statement_timeout.replace(duration(name, value)?).is_some(),
            "concurrently_timeout" => self.concurrently_timeout.replace(duration(name, value)?).is_some(),
            "batch_rows" => self.batch_rows.replace(count(name, value)?).is_some(),
            "batch_time" => self.batch_time.replace(duration(name, value)?).is_some(),
            _ => return Err(format!("`{name}` is no limit of a file")),
        };
        if twice {
            return Err(format!("{name} is set twice"));
        }
        self.over(&Limits::default()).complaint().map_or(Ok(()), Err)
    }
}

fn duration(name: &str, value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value).map_err(|_| format!("{name} must be a time like 5s or 1h 30min, not `{value}`"))
}

fn count<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} must be a whole number, not `{value}`"))
}

impl fmt::Display for OwnLimits {
    /// As the head of a file would say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = [
            ("lock_timeout", self.lock_timeout),
            ("lock_timeout_most", self.lock_timeout_most),
            ("lock_budget", self.lock_budget),
            ("statement_timeout", self.statement_timeout),
            ("concurrently_timeout", self.concurrently_timeout),
            ("batch_time", self.batch_time),
            ("replication_lag", self.replication_lag),
            ("check_timeout", self.check_timeout),
            ("run_lock_patience", self.run_lock_patience),
        ];
        let counts = [("lock_tries", self.lock_tries.map(u64::from)), ("batch_rows", self.batch_rows)];
        let times = times
            .iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name}={}", humantime::format_duration(value))));
        let counts = counts.iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}")));
        f.write_str(&times.chain(counts).collect::<Vec<_>>().join(", "))
    }
}
