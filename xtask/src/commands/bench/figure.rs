//! What a figure is, and the lines that it gives.

use async_trait::async_trait;
use serde_json::json;

use super::place::Place;
use super::samples::{Spread, Unit};

/// One thing that is measured.
#[async_trait(?Send)]
pub trait Figure {
    /// What `--only` looks at.
    fn name(&self) -> &'static str;

    /// Measures it.
    async fn measure(&self, place: &Place) -> anyhow::Result<Vec<Line>>;
}

/// Which sample a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A ratio varies with the machine's mood: the middle one counts.
    Median,
    /// "Never longer than": the worst one counts.
    Worst,
}

/// One line of the result.
#[derive(Debug, Clone)]
pub enum Line {
    /// Something was measured.
    Measured(Measured),
    /// It could not be measured here.
    Skipped {
        /// What was to be measured.
        what: String,
        /// Why it was not.
        reason: String,
    },
}

/// A spread, and the limit that it is held against.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was measured, against what.
    pub what: String,
    /// The samples.
    pub spread: Spread,
    /// What they are.
    pub unit: Unit,
    /// The limit, and which sample it is about. Without one the line is there to compare with.
    pub limit: Option<(f64, By)>,
    /// The figures that it was made of.
    pub detail: String,
}

impl Measured {
    /// Whether the limit was kept; nothing where there is none.
    pub fn is_met(&self) -> Option<bool> {
        self.limit.map(|(limit, by)| match by {
            By::Median => self.spread.median <= limit,
            By::Worst => self.spread.max <= limit,
        })
    }

    fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        }
    }
}

impl Line {
    /// The heads of the columns of [`Line::text`].
    pub fn head() -> String {
        format!("{:<54} {:>8} {:>8} {:>8}  {:<17} {}", "", "min", "median", "max", "limit", "verdict")
    }

    /// For people: the figures, and beneath them what they were made of.
    pub fn text(&self) -> String {
        match self {
            Self::Skipped { what, reason } => format!("{what:<54} skipped: {reason}"),
            Self::Measured(line) => {
                let show = |value| line.unit.show(value);
                let Spread { min, median, max } = line.spread;
                let limit = line.limit.map_or_else(String::new, |(limit, by)| {
                    let by = if by == By::Worst { "the worst" } else { "median" };
                    format!("{by} ≤ {}", show(limit))
                });
                let mut text = format!(
                    "{:<54} {:>8} {:>8} {:>8}  {limit:<17} {}",
                    line.what,
                    show(min),
                    show(median),
                    show(max),
                    line.verdict()
                );
                text.truncate(text.trim_end().len());
                if !line.detail.is_empty() {
                    text.push_str(&format!("\n    {}", line.detail));
                }
                text
            }
        }
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Skipped { what, reason } => json!({ "what": what, "skipped": reason }),
            Self::Measured(line) => json!({
                "what": line.what,
                "unit": line.unit.name(),
                "min": line.spread.min,
                "median": line.spread.median,
                "max": line.spread.max,
                "limit": line.limit.map(|(limit, _)| limit),
                "judged_by": line.limit.map(|(_, by)| if by == By::Worst { "max" } else { "median" }),
                "verdict": line.verdict(),
                "detail": line.detail,
            }),
        }
    }
}
