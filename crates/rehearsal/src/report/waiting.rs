//! What is waited for before a run has begun: one line at a terminal, gone when it is over.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line moves.
const TICK: Duration = Duration::from_millis(100);

/// Shown for as long as it lives.
pub struct Waiting(ProgressBar);

impl Waiting {
    /// Says on stderr what is waited for. Where that is no terminal, nothing is shown.
    #[must_use]
    pub fn show(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = ProgressStyle::with_template("  {spinner} {msg} {elapsed}");
        bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(what.to_owned());
        // At once: the first tick of its own comes later.
        bar.tick();
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
