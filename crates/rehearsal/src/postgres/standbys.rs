//! How far the servers that follow this one are behind.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sqlx::Row;

use super::query::Stopped;
use super::session::Session;

/// Standbys and subscribers, but no base backups and no programs that only store the WAL: those replay
/// nothing. The position of the server itself comes with each of them, and is not asked for where nobody
/// follows: not every managed service gives it.
const FOLLOWERS: &str = "\
    SELECT state IS NULL, coalesce(nullif(application_name, ''), 'unnamed'), \
           (extract(epoch FROM replay_lag) * 1000)::bigint, \
           pg_wal_lsn_diff(replay_lsn, '0/0')::bigint, \
           pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint \
    FROM pg_stat_replication \
    WHERE state IS NULL OR (state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL)";

/// How many positions are remembered before every second one is dropped: an hour of looking each second.
const MOST_POSITIONS: usize = 3_600;

/// One server that follows, and is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// Its `application_name`.
    pub name: String,
    /// How long ago this server wrote what that one has not replayed yet.
    pub behind: Duration,
    /// How much of the WAL that is.
    pub bytes: u64,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The one that is furthest behind.
    pub slowest: Option<Standby>,
    /// How many there are of which the role may see nothing.
    pub hidden: u64,
}

/// Looks at them again and again.
///
/// The server's own `replay_lag` is measured when a standby answers. One that has stopped replaying
/// answers nothing new, and keeps the lag that it had. So where the WAL stood is remembered at every look:
/// what was written a while ago, and is not replayed, is so far behind.
#[derive(Debug, Default)]
pub struct Standbys {
    /// When the WAL was seen to stand where.
    positions: VecDeque<(Instant, i64)>,
}

impl Standbys {
    /// Looks once.
    ///
    /// # Errors
    /// The server's.
    pub async fn look(&mut self, session: &mut Session) -> Result<Look, Stopped> {
        let rows = session.fetch_bound(sqlx::query(FOLLOWERS)).await?;
        let now = Instant::now();
        let mut look = Look::default();
        for row in &rows {
            let (Some(replayed), Some(current)) = (row.get::<Option<i64>, _>(3), row.get::<Option<i64>, _>(4)) else {
                look.hidden += u64::from(row.get::<bool, _>(0));
                continue;
            };
            self.remember(now, current);
            let told = row.get::<Option<i64>, _>(2).and_then(|lag| u64::try_from(lag).ok()).map(Duration::from_millis);
            let behind = self.behind(now, replayed, current, told.unwrap_or_default());
            if look.slowest.as_ref().is_none_or(|slowest| slowest.behind < behind) {
                let bytes = u64::try_from(current.saturating_sub(replayed)).unwrap_or_default();
                look.slowest = Some(Standby { name: row.get(1), behind, bytes });
            }
        }
        Ok(look)
    }

    fn remember(&mut self, now: Instant, current: i64) {
        if self.positions.back().is_some_and(|(_, position)| *position >= current) {
            return;
        }
        self.positions.push_back((now, current));
        if self.positions.len() > MOST_POSITIONS {
            let mut keep = false;
            self.positions.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// What the server says, unless it is known to be more.
    fn behind(&self, now: Instant, replayed: i64, current: i64, told: Duration) -> Duration {
        if replayed >= current {
            return Duration::ZERO;
        }
        let first_missing = self.positions.iter().find(|(_, position)| *position > replayed);
        let seen = first_missing.map_or(Duration::ZERO, |(when, _)| now.saturating_duration_since(*when));
        seen.max(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_stopped_falls_behind_although_the_server_does_not_say_so() {
        let (mut standbys, start) = (Standbys::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let told = Duration::from_millis(3);
        for (second, position) in [(0, 100), (1, 200), (2, 200), (3, 300)] {
            standbys.remember(at(second), position);
        }
        assert_eq!(standbys.behind(at(3), 300, 300, told), Duration::ZERO);
        assert_eq!(standbys.behind(at(4), 250, 300, told), Duration::from_secs(1));
        assert_eq!(standbys.behind(at(4), 100, 300, told), Duration::from_secs(3));
        assert_eq!(standbys.behind(at(4), 50, 300, told), Duration::from_secs(4));
        assert_eq!(standbys.behind(at(4), 250, 300, Duration::from_secs(60)), Duration::from_secs(60));
    }

    #[test]
    fn what_is_remembered_stays_small() {
        let (mut standbys, start) = (Standbys::default(), Instant::now());
        for second in 0..20_000_u32 {
            standbys.remember(start + Duration::from_secs(second.into()), i64::from(second) + 1);
        }
        assert!(standbys.positions.len() <= MOST_POSITIONS);
        assert_eq!(standbys.behind(start + Duration::from_secs(20_000), 0, 20_000, Duration::ZERO).as_secs(), 20_000);
    }
}
