//! How many rows the next batch takes: as many as should fit into the time that a batch may take.

use std::collections::VecDeque;
use std::time::Duration;

/// A batch never gets smaller than this: below it the round trips cost more than the rows.
const FEWEST_ROWS: u64 = 100;

/// The very first batch is this much smaller than `batch_rows`: what a row costs is not known yet, and
/// 5,000 rows of a statement that calls a function for each were seen to hold clients for 0.9 s.
const PROBE: u64 = 10;

/// How much smaller or larger than the last one the next batch may be.
const STEP_DOWN: f64 = 0.1;
const STEP_UP: f64 = 2.0;
const STEP_UP_FROM_PROBE: f64 = 10.0;

/// A batch never gets larger than this many times `batch_rows`.
const MOST_GROWTH: u64 = 10;

/// The dearest of that many batches decides. What slows one down (a checkpoint, a busy moment) is seldom
/// over with the next: sizes that followed the last batch alone overshot to two and three times the
/// time they should take.
const REMEMBERED: usize = 3;

/// What a batch may take at the most, as a multiple of `batch_time`: for clients that queue behind its
/// row locks that is five seconds at the default, and not the minutes that a whole statement gets.
const PATIENCE: u32 = 50;

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    size: u64,
    batch_rows: u64,
    batch_time: Duration,
    /// Seconds for a row in each of the last batches.
    costs: VecDeque<f64>,
}

impl Pace {
    pub(super) fn new(batch_rows: u64, batch_time: Duration) -> Self {
        Self {
            size: (batch_rows / PROBE).max(FEWEST_ROWS).min(batch_rows),
            batch_rows,
            batch_time,
            costs: VecDeque::with_capacity(REMEMBERED),
        }
    }

    /// How many rows the next batch takes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How long the next batch may take before it is tried again with half of its rows; nothing where
    /// there is no less.
    pub(super) fn patience(&self) -> Option<Duration> {
        (self.size > self.fewest()).then(|| self.batch_time.saturating_mul(PATIENCE))
    }

    /// A batch of [`Pace::size`] rows took that long: follows the time, by steps that are not too long.
    pub(super) fn took(&mut self, took: Duration) {
        // The probe is left behind at once, where there is time.
        let is_probe = self.costs.is_empty() && self.size < self.batch_rows;
        let step_up = if is_probe { STEP_UP_FROM_PROBE } else { STEP_UP };
        let size = self.size_as_float();
        self.remember(took.as_secs_f64().max(0.001) / size);
        let dearest = self.costs.iter().copied().fold(0.0, f64::max);
        let ratio = (self.batch_time.as_secs_f64() / (dearest * size)).clamp(STEP_DOWN, step_up);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a row count far below 2^52, times a small number"
        )]
        let next = (size * ratio) as u64;
        self.size = next.clamp(self.fewest(), self.batch_rows.saturating_mul(MOST_GROWTH));
        if is_probe {
            // So few rows say little of what one of many costs.
            self.costs.clear();
            self.costs.push_back(0.0);
        }
    }

    /// A batch was cancelled after its time was up.
    pub(super) fn timed_out(&mut self, after: Duration) {
        self.remember(after.as_secs_f64() / self.size_as_float());
        self.halve();
    }

    /// A batch did not get through: the next one takes half of its rows.
    pub(super) fn halve(&mut self) {
        self.size = (self.size / 2).max(self.fewest());
    }

    fn remember(&mut self, cost: f64) {
        if self.costs.len() == REMEMBERED {
            self.costs.pop_front();
        }
        self.costs.push_back(cost);
    }

    #[expect(clippy::cast_precision_loss, reason = "a row count far below 2^52")]
    fn size_as_float(&self) -> f64 {
        self.size as f64
    }

    fn fewest(&self) -> u64 {
        FEWEST_ROWS.min(self.batch_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes after batches that took so many milliseconds each.
    fn sizes(first: u64, milliseconds: &[u64]) -> Vec<u64> {
        let mut pace = Pace::new(5_000, Duration::from_millis(100));
        pace.size = first;
        let each = |time: &u64| {
            pace.took(Duration::from_millis(*time));
            pace.size()
        };
        milliseconds.iter().map(each).collect()
    }

    #[test]
    fn the_size_follows_the_time_within_bounds() {
        assert_eq!(sizes(5_000, &[50]), [10_000]);
        assert_eq!(sizes(5_000, &[10]), [10_000]);
        assert_eq!(sizes(5_000, &[400]), [1_250]);
        assert_eq!(sizes(5_000, &[9_000]), [500]);
        assert_eq!(sizes(50_000, &[1]), [50_000]);
    }

    #[test]
    fn one_slow_batch_is_not_forgotten_at_once() {
        assert_eq!(sizes(5_000, &[100, 400, 25, 25, 25, 50]), [5_000, 1_250, 1_250, 1_250, 2_500, 5_000]);
    }

    #[test]
    fn it_begins_with_a_probe() {
        assert_eq!(Pace::new(5_000, Duration::from_millis(100)).size(), 500);
        assert_eq!([sizes(500, &[5]), sizes(500, &[50]), sizes(500, &[900])], [[5_000], [1_000], [100]]);
        assert_eq!(sizes(500, &[5, 60]), [5_000, 8_333]);
        let first = |rows| Pace::new(rows, Duration::from_millis(100)).size();
        assert_eq!([first(100), first(7)], [100, 7]);
    }

    #[test]
    fn it_halves_down_to_a_floor() {
        let mut pace = Pace::new(500, Duration::from_millis(100));
        assert_eq!((pace.size(), pace.patience()), (100, None));
        pace.size = 350;
        assert_eq!(pace.patience(), Some(Duration::from_secs(5)));
        pace.timed_out(Duration::from_secs(5));
        assert_eq!(pace.size(), 175);
        // It is not tried again with more at once.
        pace.took(Duration::from_millis(10));
        assert_eq!(pace.size(), 100);
        pace.halve();
        assert_eq!(pace.size(), 100);
    }
}
