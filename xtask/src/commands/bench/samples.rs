//! Pairs of samples, taken in turn: A B A B. What the machine does beside us hits both alike, so a
//! ratio is taken pair by pair and never over two sums.

use std::time::Duration;

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Ours, as a multiple of theirs.
    Ratio,
    /// Seconds.
    Seconds,
    /// Megabytes of 1,000,000 bytes.
    Megabytes,
}

impl Unit {
    /// A value as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2}×"),
            Self::Seconds => seconds(value),
            Self::Megabytes => format!("{value:.0} MB"),
        }
    }

    /// For programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Seconds => "seconds",
            Self::Megabytes => "megabytes",
        }
    }
}

fn seconds(value: f64) -> String {
    match value {
        ..0.01 => format!("{:.1} ms", value * 1_000.0),
        ..1.0 => format!("{:.0} ms", value * 1_000.0),
        _ => format!("{value:.2} s"),
    }
}

/// The least, the middle and the most of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
        Self { min: at(0), median: f64::midpoint(at(low), at(high)), max: at(sorted.len().saturating_sub(1)) }
    }

    /// Of times.
    pub fn of_times(samples: &[Duration]) -> Self {
        Self::of(&samples.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())
    }
}

/// Times of ours and of theirs, taken in turn.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    ours: Vec<Duration>,
    theirs: Vec<Duration>,
}

impl Pairs {
    /// Takes `count` pairs. One that came before them is not counted where `warm_up` says so: files
    /// are then in memory, and what is made once has been made.
    pub async fn take(
        count: usize,
        warm_up: bool,
        mut ours: impl AsyncFnMut() -> anyhow::Result<Duration>,
        mut theirs: impl AsyncFnMut() -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Self> {
        if warm_up {
            ours().await?;
            theirs().await?;
        }
        let mut pairs = Self::default();
        for _ in 0..count {
            pairs.ours.push(ours().await?);
            pairs.theirs.push(theirs().await?);
        }
        Ok(pairs)
    }

    /// Pairs of something else that was taken in the same turns.
    pub fn of(ours: Vec<Duration>, theirs: Vec<Duration>) -> Self {
        Self { ours, theirs }
    }

    /// Whether none were taken.
    pub fn is_empty(&self) -> bool {
        self.ours.is_empty()
    }

    /// Ours as a multiple of theirs, pair by pair.
    pub fn ratios(&self) -> Spread {
        let ratios: Vec<f64> = self
            .ours
            .iter()
            .zip(&self.theirs)
            .map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64())
            .collect();
        Spread::of(&ratios)
    }

    /// Both medians, and how many pairs there were.
    pub fn detail(&self, ours: &str, theirs: &str) -> String {
        let median = |samples: &[Duration]| Unit::Seconds.show(Spread::of_times(samples).median);
        format!(
            "{ours} {}, {theirs} {} (medians of {} pairs)",
            median(&self.ours),
            median(&self.theirs),
            self.ours.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
    }

    #[test]
    fn a_ratio_is_of_one_pair() {
        let times = |values: &[u64]| values.iter().copied().map(Duration::from_secs).collect();
        let pairs = Pairs { ours: times(&[1, 10, 2]), theirs: times(&[1, 10, 4]) };
        assert_eq!(pairs.ratios(), Spread { min: 0.5, median: 1.0, max: 1.0 });
    }
}
