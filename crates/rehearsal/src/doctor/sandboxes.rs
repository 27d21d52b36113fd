//! Which provider would give a throwaway server, and why none of the others.

use super::finding::{Area, Finding};
use crate::config::Config;
use crate::context::Environment;
use crate::postgres::version::Version;
use crate::providers::provider::Offer;
use crate::providers::{self, Choice, Request, SandboxError};

/// Asks each provider what it would serve with, the way a start does. Nothing is started or pulled.
pub async fn look(
    config: &Config,
    environment: &Environment,
    choice: Choice,
    image: Option<&str>,
    server: Option<Version>,
) -> Finding {
    let request = Request {
        major: server.map(|version| version.major),
        preferred: config.sandbox.postgres,
        image: image.map(str::to_owned).or_else(|| config.sandbox.image.clone()),
        start_limit: config.sandbox.start_limit,
        expected_bytes: 0,
    };
    let machine = environment.clone();
    // The programs of this machine are asked for their versions, which blocks.
    let all = tokio::task::spawn_blocking(move || providers::all(&machine)).await.unwrap_or_default();
    let mut reasons = Vec::new();
    let mut all = all.into_iter();
    for provider in all.by_ref() {
        if choice.name().is_some_and(|wanted| wanted != provider.name()) {
            reasons.push(format!("{} is not asked for", provider.name()));
            continue;
        }
        match provider.offer(&request).await {
            Ok(offer) => {
                let later = all.map(|provider| format!("{} comes behind it", provider.name()));
                reasons.extend(later);
                return served(provider.name(), &offer, &reasons);
            }
            Err(error) if choice.name().is_some() => {
                return Finding::problem(Area::Sandbox, error.kind(), error.to_string(), error.hint());
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    let none = SandboxError::None { reasons };
    Finding::problem(Area::Sandbox, none.kind(), none.to_string(), none.hint())
}

fn served(name: &str, offer: &Offer, reasons: &[String]) -> Finding {
    let Offer { with, missing } = offer;
    let what = format!("{name} would serve, with {with} ({})", reasons.join("; "));
    match missing {
        None => Finding::ok(Area::Sandbox, what),
        Some(remedy) => Finding::warning(Area::Sandbox, what, remedy.clone()),
    }
}
