//! Waiting for something that is going to happen, and not for longer than it may take.

use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take that a test waits for. Generous: it is only reached by a failure.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Looks until `look` gives something.
///
/// # Panics
/// When nothing came within [`LIMIT`].
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain for this: {what}", LIMIT.as_secs());
        tokio::time::sleep(POLL).await;
    }
}
