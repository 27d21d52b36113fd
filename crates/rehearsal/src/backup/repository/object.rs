//! What `object_store` leaves to its caller: answers that end early, and words that people understand.

use std::time::{Duration, Instant};

use object_store::Error;

/// `object_store` retries requests by itself, but not an answer that was cut off: that many times, with
/// waits between that double from the first to the longest.
const TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How much of a service's words is repeated.
const MOST_CHARACTERS: usize = 240;

/// Tries again while that may help, and patience lasts.
pub(super) async fn again<T, W: Future<Output = Result<T, Error>>>(
    patience: Duration,
    mut work: impl FnMut() -> W,
) -> Result<T, Error> {
    let began = Instant::now();
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match work().await {
            Err(error) if may_pass(&error) && began.elapsed() < patience => {}
            ended => return ended,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    work().await
}

fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Generic { .. } | Error::JoinError { .. })
}

/// The service's own code and message, where it gave them (S3, Google and Azure write them as XML); else
/// the innermost cause, which is what happened to the connection.
pub(super) fn reason(error: &Error) -> String {
    let whole = words_of(error);
    let tag = |name: &str| {
        let (_, rest) = whole.split_once(&format!("<{name}>"))?;
        rest.split_once("</").map(|(text, _)| text.to_owned())
    };
    let words = match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => whole,
    };
    let clean: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    clean.chars().filter(|c| !c.is_control()).take(MOST_CHARACTERS).collect()
}

fn words_of(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut words = cause.to_string();
    while let Some(source) = cause.source() {
        cause = source;
        let inner = cause.to_string();
        // Most of them repeat what is inside.
        if !words.contains(&inner) {
            words.push_str(": ");
            words.push_str(&inner);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_speaks_for_itself() {
        let body = "Server returned <Error><Code>SlowDown</Code><Message>Please reduce\n your rate</Message></Error>";
        let error = Error::Generic { store: "S3", source: body.into() };
        assert_eq!(reason(&error), "SlowDown: Please reduce your rate");
    }
}
