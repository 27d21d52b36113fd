//! `smoke`: the smoke tests, against a service that runs.

use std::sync::Arc;

use rehearsal::postgres::history::History;
use rehearsal::run::Command;
use rehearsal::smoke::SmokeError;
use rehearsal::smoke::subject::{Place, Subject};
use rehearsal::steps::lists;

use crate::shell::Shell;
use crate::smoke;

pub async fn run(shell: Shell, url: &str, release: Option<&str>) -> anyhow::Result<()> {
    let workspace = shell.workspace()?;
    let root = root(url).map_err(rehearsal::Error::from)?;
    let secrets = smoke::secrets(&workspace.config).map_err(rehearsal::Error::from)?;
    let release = release.map(|name| shell.config.release(Some(name))).transpose().map_err(rehearsal::Error::from)?;
    let target = match &shell.common.target {
        Some(name) => Some(shell.target_named(name).await?),
        None => None,
    };
    // Which tests are for it: those of the release that was named, of what its database has, or of the
    // newest migration there is.
    let version = match (release.flatten(), &target) {
        (Some(release), _) => release.to,
        (None, Some(target)) => {
            let mut session = shell.connect(target, "smoke").await?;
            let history = History::read(&mut session, &shell.config.history_table).await?;
            session.close().await;
            history.latest_finished().unwrap_or(0)
        }
        (None, None) => workspace.migrations.latest().unwrap_or(0),
    };
    let release = shell.config.release_of(version).map(|release| release.name.clone());
    let subject = Subject {
        is_of_later: false,
        label: root.clone(),
        version,
        release: release.clone(),
        secrets,
        place: Place::Running(root.clone()),
    };
    let command = Command {
        name: "smoke",
        target: root,
        retry: None,
        release,
        steps: lists::smoke(&Arc::new(subject)),
        next: None,
    };
    let settings = shell.settings(None);
    shell.run(command, workspace, settings, target, |_| {}).await
}

/// The address without what must not be shown, and without the slash that the paths begin with.
fn root(url: &str) -> Result<String, SmokeError> {
    let refused = |url: &str, reason: &str| SmokeError::Url { url: url.into(), reason: reason.into() };
    let mut parsed = url::Url::parse(url).map_err(|error| refused("…", &error.to_string()))?;
    let has_password = !parsed.username().is_empty() || parsed.password().is_some();
    // Both fail only where a URL has no host, which is refused below.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    if has_password {
        return Err(refused(parsed.as_str(), "it holds a name or a password; send them as a header, from `secrets`"));
    }
    if !matches!(parsed.scheme(), "http" | "https") || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(refused(parsed.as_str(), "it must be http:// or https://, without a query"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}
