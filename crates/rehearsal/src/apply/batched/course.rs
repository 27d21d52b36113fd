//! How a batched statement went along, in as many slices as a chart can show.

use std::time::Duration;

use crate::event::BatchSlice;

/// The most slices that are kept: a chart on a phone has about twice as many points across.
const MOST: usize = 128;

/// Slices that each stand for as many batches as the others.
#[derive(Debug, Default)]
pub(super) struct Course {
    slices: Vec<BatchSlice>,
    /// How many batches the last slice stands for.
    filled: u32,
    /// How many each slice stands for; twice as many whenever there are [`MOST`]. Nothing has come as long as it is 0.
    each: u32,
}

impl Course {
    /// A batch ended `at` that long after the statement's begin.
    pub(super) fn add(&mut self, at: Duration, rows: u64, took: Duration) {
        let batch = BatchSlice { until_ms: milliseconds(at), rows, longest_ms: milliseconds(took) };
        self.each = self.each.max(1);
        match self.slices.last_mut() {
            Some(last) if self.filled < self.each => {
                last.take_in(&batch);
                self.filled += 1;
            }
            _ => {
                if self.slices.len() == MOST {
                    self.slices = self.slices.chunks(2).map(joined).collect();
                    self.each *= 2;
                }
                self.slices.push(batch);
                self.filled = 1;
            }
        }
    }

    pub(super) fn into_slices(self) -> Vec<BatchSlice> {
        self.slices
    }
}

impl BatchSlice {
    fn take_in(&mut self, later: &Self) {
        self.until_ms = later.until_ms;
        self.rows += later.rows;
        self.longest_ms = self.longest_ms.max(later.longest_ms);
    }
}

fn joined(pair: &[BatchSlice]) -> BatchSlice {
    let mut slice = pair.first().cloned().unwrap_or_default();
    pair.iter().skip(1).for_each(|later| slice.take_in(later));
    slice
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However many batches there were: every row is in it once, time goes on, and it stays small.
        #[test]
        fn nothing_is_lost_and_it_stays_small(batches in prop::collection::vec((0_u64..9_000, 1_u64..400), 0..2_000)) {
            let (mut course, mut at) = (Course::default(), 0);
            for (rows, took) in &batches {
                at += took;
                course.add(Duration::from_millis(at), *rows, Duration::from_millis(*took));
            }
            let slices = course.into_slices();
            prop_assert!(slices.len() <= MOST);
            prop_assert_eq!(slices.iter().map(|slice| slice.rows).sum::<u64>(), batches.iter().map(|batch| batch.0).sum::<u64>());
            prop_assert_eq!(slices.iter().map(|slice| slice.longest_ms).max(), batches.iter().map(|batch| batch.1).max());
            prop_assert!(slices.is_sorted_by(|one, next| one.until_ms < next.until_ms));
            prop_assert_eq!(slices.last().map_or(0, |slice| slice.until_ms), at);
        }
    }
}
