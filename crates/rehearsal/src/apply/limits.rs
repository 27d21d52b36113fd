//! How long things may take and how big they may be while a release runs.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::window::Window;
use crate::human_time::HumanTime;
use crate::statement::Action;

/// The limits of a target. Every field can be set in `rehearsal.toml` under `[limits]`, and for one target
/// under `[targets.NAME.limits]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Limits {
    /// The first `lock_timeout`. Whoever queues behind us waits no longer than this.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub lock_timeout: Duration,
    /// What `lock_timeout` may rise to.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub lock_timeout_most: Duration,
    /// How often a file is tried again after a lock timeout or a deadlock.
    pub lock_tries: u32,
    /// How long all tries together may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub lock_budget: Duration,
    /// How long one transactional statement may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub statement_timeout: Duration,
    /// How long a statement that waits for others by its nature (`… CONCURRENTLY`) may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub concurrently_timeout: Duration,
    /// How many rows a batch takes at first, after one of a tenth of them.
    pub batch_rows: u64,
    /// How long a batch should take; their size follows it.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub batch_time: Duration,
    /// Batches wait while a standby is further behind than that.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub replication_lag: Duration,
    /// Batches wait while this file is there, whoever made it. Nobody looks for one without a path.
    pub pause_file: Option<PathBuf>,
    /// Batches run in these hours only.
    pub batch_window: Option<Window>,
    /// How long a check's query may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub check_timeout: Duration,
    /// What is known of a statement that was begun by a run that was killed, and whose outcome nobody
    /// can tell from outside. Told on the command line, never in the file.
    #[serde(skip)]
    pub unsure: Unsure,
    /// How long another run is waited for.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub run_lock_patience: Duration,
}

/// See [`Limits::unsure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unsure {
    /// Nothing: stop, and ask.
    #[default]
    Ask,
    /// Somebody has looked: it is done.
    Done,
    /// Somebody has looked: it is not done.
    NotDone,
}

impl std::str::FromStr for Unsure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "done" => Ok(Self::Done),
            "not-done" => Ok(Self::NotDone),
            _ => Err(format!("`{text}` is neither done nor not-done")),
        }
    }
}

impl Default for Limits {
    /// 200 ms to 2 s over 30 tries within 10 minutes: short enough that nobody behind us notices,
    /// often enough to get through on a busy table. GitLab's migration helpers come to the same
    /// order of magnitude. 5,000 rows and 100 ms: the size at which batches cost about as much CPU
    /// as one UPDATE while the worst of 10 busy clients waits a tenth of a second. 10 s behind: gh-ost
    /// stops at 1.5 s and pt-online-schema-change at 1 s, for standbys that answer an application's reads at
    /// once; this leaves one alone that hiccups, and comes long before slots and disks fill.
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_millis(200),
            lock_timeout_most: Duration::from_secs(2),
            lock_tries: 30,
            lock_budget: Duration::from_secs(600),
            statement_timeout: Duration::from_secs(15 * 60),
            concurrently_timeout: Duration::from_secs(6 * 3600),
            batch_rows: 5_000,
            batch_time: Duration::from_millis(100),
            replication_lag: Duration::from_secs(10),
            pause_file: Some(".rehearsal/pause".into()),
            batch_window: None,
            check_timeout: Duration::from_secs(60),
            unsure: Unsure::default(),
            run_lock_patience: crate::postgres::locks::LOCK_PATIENCE,
        }
    }
}

impl Limits {
    /// What `lock_timeout` may rise to; no less than where it begins.
    pub(crate) fn highest_lock_timeout(&self) -> Duration {
        self.lock_timeout_most.max(self.lock_timeout)
    }

    /// The `lock_timeout` of a statement outside of a transaction, which is tried once; 0 is none. What waits by
    /// its nature has its budget on the whole. Anything else must not make others queue behind it.
    pub(crate) fn lock_timeout_outside(&self, action: &Action) -> Duration {
        if action.waits() { Duration::ZERO } else { self.highest_lock_timeout() }
    }

    /// The first field whose value cannot be meant, with what it must be. To PostgreSQL a limit of 0
    /// is none at all, and a migration without limits is what all of this is there to prevent.
    pub(crate) fn complaint(&self) -> Option<String> {
        let durations = [
            ("lock_timeout", self.lock_timeout),
            ("lock_timeout_most", self.lock_timeout_most),
            ("statement_timeout", self.statement_timeout),
            ("concurrently_timeout", self.concurrently_timeout),
            ("check_timeout", self.check_timeout),
            ("replication_lag", self.replication_lag),
            ("batch_time", self.batch_time),
        ];
        // PostgreSQL counts them in milliseconds, in 32 bits.
        let wrong = durations.iter().find(|(_, value)| !(1..=i32::MAX as u128).contains(&value.as_millis()));
        if let Some((field, _)) = wrong {
            return Some(format!("{field} must be at least 1ms and at most 24 days"));
        }
        let counts = [("lock_tries", u64::from(self.lock_tries)), ("batch_rows", self.batch_rows)];
        let (field, _) = counts.iter().find(|(_, value)| *value == 0)?;
        Some(format!("{field} must be at least 1"))
    }
}
