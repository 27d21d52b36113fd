//! What the server says beside its answers: RAISE NOTICE, WARNING and INFO of a migration.
//!
//! sqlx keeps such messages to itself, but for a `tracing` event each. While a statement of ours is
//! polled, and no longer, that event comes here; any other subscriber of the process stays as it is.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// sqlx-postgres 0.9, connection/stream.rs: the target of its event.
const TARGET: &str = "sqlx::postgres::notice";

/// How many are kept until somebody asks for them; the newest, because sums come last. A loop that says a
/// line for each of a million rows would fill the record otherwise.
const MOST_NOTICES: usize = 100;

/// How much of one is kept: a few lines of a terminal.
const MOST_CHARACTERS: usize = 500;

/// How much it matters to whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NoticeSeverity")]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// RAISE INFO.
    Info,
    /// RAISE NOTICE, and what the server finds worth a word.
    Notice,
    /// RAISE WARNING.
    Warning,
}

impl Severity {
    /// As psql writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
        }
    }

    /// Somebody wants it to be looked at.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        matches!(self, Self::Warning)
    }

    /// sqlx-postgres 0.9 turns the server's severities into these levels.
    fn from_level(level: Level) -> Option<Self> {
        match level {
            Level::TRACE => Some(Self::Info),
            Level::INFO => Some(Self::Notice),
            Level::WARN => Some(Self::Warning),
            _ => None,
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// What it says, shortened, and without what could steer a terminal.
    pub text: String,
}

/// What was heard, in order.
#[derive(Debug, Default)]
pub struct Heard {
    /// The newest ones.
    pub notices: VecDeque<Notice>,
    /// How many came before those, and were left out.
    pub left_out: u64,
}

impl Heard {
    fn add(&mut self, notice: Notice) {
        if self.notices.len() == MOST_NOTICES {
            self.notices.pop_front();
            self.left_out += 1;
        }
        self.notices.push_back(notice);
    }
}

/// Hears what a session's server says.
pub struct Ears {
    heard: Arc<Mutex<Heard>>,
    dispatch: Dispatch,
    /// tracing-core 0.1 asks the subscriber of the moment, and not all of them, as long as there is only one:
    /// an event that first happens while nobody listens would be silent for ever.
    _company: Dispatch,
}

impl Default for Ears {
    fn default() -> Self {
        let heard = Arc::default();
        let dispatch = Dispatch::new(Listener(Arc::clone(&heard)));
        Self { heard, dispatch, _company: Dispatch::new(NoSubscriber::default()) }
    }
}

impl Ears {
    /// Hears what is said while `work` is done.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        work.with_subscriber(self.dispatch.clone()).await
    }

    /// What was heard since it was last asked for.
    pub fn take(&self) -> Heard {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Listener(Arc<Mutex<Heard>>);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && Severity::from_level(*metadata.level()).is_some()
    }

    fn event(&self, event: &Event<'_>) {
        let Some(severity) = Severity::from_level(*event.metadata().level()) else { return };
        let mut message = Message::default();
        event.record(&mut message);
        let clean = message.0.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_CHARACTERS);
        let notice = Notice { severity, text: clean.collect() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(notice);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // No span is enabled, so none is entered.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut heard = Heard::default();
        for number in 0..MOST_NOTICES + 3 {
            heard.add(Notice { severity: Severity::Notice, text: number.to_string() });
        }
        assert_eq!((heard.notices.len(), heard.left_out), (MOST_NOTICES, 3));
        assert_eq!(heard.notices[0].text, "3");
    }
}
