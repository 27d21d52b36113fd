//! Sends the requests, flow by flow in the order of the file, and judges the answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::header::LOCATION;
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::SmokeError;
use super::request::{RUN, SmokeTest};
use super::secrets::Secrets;
use super::template::{self, Missing, Values};
use crate::error::{Error, Result};
use crate::event::{Emitter, EventKind, SmokeDone, milliseconds};

/// How long one request may take. A person who waits longer has left.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How much of an answer is read: a page, and not a download.
const BODY_MOST: usize = 1 << 20;

/// How much of a complaint is shown: what was expected stands first.
const SHOWN_CHARACTERS: usize = 300;

/// How many random characters make values of one run its own.
const RUN_CHARACTERS: usize = 8;

/// How it went.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many were sent.
    pub total: usize,
    /// The names of those that failed.
    pub failed: Vec<String>,
}

/// A client as a browser is one, but that it follows no redirect and knows no proxy of this machine.
///
/// # Errors
/// [`SmokeError::Client`].
pub fn client() -> Result<Client, SmokeError> {
    // Wanted before the first client is made, also for plain HTTP; the second time is refused.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .cookie_store(true)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(REQUEST_LIMIT)
        .user_agent(concat!("rehearsal/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| SmokeError::Client { reason: error.to_string() })
}

/// Sends all of them to the service at `root` (`http://host:port`, without a slash at its end). `service`
/// is what events call it.
///
/// # Errors
/// [`SmokeError::NoSecret`] before anything is sent; [`Error::Interrupted`].
pub async fn run(
    tests: &[&SmokeTest],
    root: &str,
    service: &str,
    secrets: &Secrets,
    events: &Emitter,
    cancel: &CancellationToken,
) -> Result<Tally> {
    for test in tests {
        if let Some(variable) = test.secrets.values().find(|variable| secrets.get(variable).is_none()) {
            return Err(SmokeError::NoSecret { test: test.name.clone(), variable: variable.clone() }.into());
        }
    }
    let token: String = std::iter::repeat_with(fastrand::alphanumeric).take(RUN_CHARACTERS).collect();
    let fresh = Values::from([(RUN.to_owned(), Value::String(token.to_lowercase()))]);
    let mut flows: BTreeMap<&str, (Client, Values)> = BTreeMap::new();
    let mut tally = Tally::default();
    for test in tests {
        if !flows.contains_key(test.flow.as_str()) {
            flows.insert(&test.flow, (client()?, fresh.clone()));
        }
        let Some((client, values)) = flows.get_mut(test.flow.as_str()) else { continue };
        let began = Instant::now();
        let asked = tokio::select! {
            asked = ask(test, client, root, values, secrets) => asked,
            () = cancel.cancelled() => return Err(Error::Interrupted),
        };
        tally.total += 1;
        if !asked.complaints.is_empty() {
            tally.failed.push(test.name.clone());
        }
        events.emit(EventKind::Smoke(SmokeDone {
            service: service.to_owned(),
            name: test.name.clone(),
            flow: test.flow.clone(),
            request: format!("{} {}", test.method, test.path),
            status: asked.status,
            passed: asked.complaints.is_empty(),
            complaints: asked.complaints.iter().map(|complaint| shown(&secrets.redact(complaint))).collect(),
            duration_ms: milliseconds(began),
        }));
    }
    Ok(tally)
}

/// Cut only after the secrets are out of it: half of one would stay.
fn shown(complaint: &str) -> String {
    let mut shown: String = complaint.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < complaint.len() {
        shown.push('…');
    }
    shown
}

/// What came of one request.
struct Asked {
    status: Option<u16>,
    complaints: Vec<String>,
}

async fn ask(test: &SmokeTest, client: &Client, root: &str, saved: &mut Values, secrets: &Secrets) -> Asked {
    let mut values = saved.clone();
    let secret = |variable: &String| Value::String(secrets.get(variable).unwrap_or_default().to_owned());
    values.extend(test.secrets.iter().map(|(name, variable)| (name.clone(), secret(variable))));
    let unsent = |complaint: String| Asked { status: None, complaints: vec![complaint] };
    let request = match build(test, client, root, &values) {
        Ok(request) => request,
        Err(Missing(name)) => return unsent(format!("`{name}` was not saved by a request before it")),
    };
    // Its address is told with the test; it may carry what was filled in.
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return unsent(format!("no answer: {}", words(error.without_url()))),
    };
    let status = answer.status().as_u16();
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = match text(answer).await {
        Ok(body) => body,
        Err(error) => {
            let complaint = format!("the answer broke off: {}", words(error.without_url()));
            return Asked { status: Some(status), complaints: vec![complaint] };
        }
    };
    let complaints = judge(test, status, location.as_deref(), &body, &values, saved)
        .unwrap_or_else(|Missing(name)| vec![format!("`{name}` was not saved by a request before it")]);
    Asked { status: Some(status), complaints }
}

fn build(test: &SmokeTest, client: &Client, root: &str, values: &Values) -> Result<reqwest::RequestBuilder, Missing> {
    // What it is was looked at when the file was read.
    let method = Method::from_bytes(test.method.as_bytes()).unwrap_or(Method::GET);
    let mut request = client.request(method, format!("{root}{}", template::fill_path(&test.path, values)?));
    for (name, value) in &test.headers {
        request = request.header(name, template::fill_text(value, values)?);
    }
    if let Some(body) = &test.body {
        request = request.json(&template::fill_json(body, values)?);
    }
    Ok(request)
}

async fn text(mut answer: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = BODY_MOST.saturating_sub(bytes.len());
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room <= chunk.len() {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn judge(
    test: &SmokeTest,
    status: u16,
    location: Option<&str>,
    body: &str,
    values: &Values,
    saved: &mut Values,
) -> Result<Vec<String>, Missing> {
    let mut complaints = Vec::new();
    if status != test.status {
        let body = if body.is_empty() { String::new() } else { format!(" with {}", body) };
        complaints.push(format!("expected status {}, found {status}{body}", test.status));
    }
    if let Some(expected) = &test.location {
        let expected = template::fill_text(expected, values)?;
        if location != Some(expected.as_str()) {
            let found = location.unwrap_or("nowhere");
            complaints.push(format!("expected a redirect to {expected}, found {}", found));
        }
    }
    if let Some(part) = &test.contains {
        let part = template::fill_text(part, values)?;
        if !body.contains(&part) {
            complaints.push(format!("expected a body with `{part}` in it, found {}", body));
        }
    }
    if test.expect.is_empty() && test.save.is_empty() {
        return Ok(complaints);
    }
    let Ok(json) = serde_json::from_str::<Value>(body) else {
        complaints.push(format!("expected JSON, found {}", body));
        return Ok(complaints);
    };
    for (pointer, expected) in &test.expect {
        complaints.extend(expected.complaint(pointer, json.pointer(pointer), values)?);
    }
    for (name, pointer) in &test.save {
        match json.pointer(pointer) {
            Some(value) => drop(saved.insert(name.clone(), value.clone())),
            None => complaints.push(format!("nothing at {pointer} to save as `{name}`")),
        }
    }
    Ok(complaints)
}

/// An error with its causes: reqwest's own words stop before the reason.
fn words(error: impl std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(&format!(": {error}"));
        source = error.source();
    }
    words
}
