//! `rehearse`: the whole release on a throwaway server.

use std::io::IsTerminal;
use std::sync::Arc;

use rehearsal::config::{Config, ConfigError};
use rehearsal::context::{Keep, Settings, Workspace};
use rehearsal::plan::{self, Back, Refusal};
use rehearsal::postgres::history::History;
use rehearsal::release::Release;
use rehearsal::run::Command;
use rehearsal::smoke::subject::Subject;
use rehearsal::steps::lists::{self, Rehearsal, Stop};

use crate::cli::{SandboxArgs, SmokeArgs};
use crate::shell::Shell;
use crate::smoke::{self, Builder};

pub async fn run(
    shell: Shell,
    release: Option<&str>,
    all: bool,
    rows: u64,
    traffic: bool,
    wanted: &SmokeArgs,
    sandbox: &SandboxArgs,
) -> anyhow::Result<()> {
    let workspace = shell.workspace()?;
    let releases = chosen(&shell.config, release, all)?;
    let keep = match (sandbox.keep, std::io::stderr().is_terminal()) {
        (true, _) => Keep::Always,
        // At a terminal somebody may want to look at what went wrong.
        (false, true) => Keep::OnFailure,
        (false, false) => Keep::Never,
    };
    // Nobody else knows of the sandbox.
    let settings = Settings { keep, rows, alone: true, watch_locks: true, lint: true, ..shell.settings(Some(sandbox)) };
    let newest = workspace.migrations.latest().unwrap_or(0);
    let queries = shell.config.contract.clone();
    let rehearsal = |services: &Services, after: i64, versions: &[i64]| Rehearsal {
        after,
        back: Back::To(after),
        services: services.at_start(after).to_vec(),
        stops: services.at(versions),
        // The code is that of the newest version: with an earlier release it has nothing to do.
        contract: (versions.last() == Some(&newest) && queries.is_dir())
            .then(|| (queries.clone(), releases.last().map_or(newest, Release::expanded))),
        traffic,
    };
    let Some(name) = shell.common.target.clone() else {
        let (after, versions) = match releases.first() {
            Some(first) => (first.after, stops(&releases, first.after)),
            None => newest_alone(&workspace)?,
        };
        let services = Services::find(&shell, wanted, &releases, after, &versions, newest).await?;
        let command = Command {
            name: "rehearse",
            target: "a fresh sandbox".into(),
            retry: None,
            release: names(&releases),
            steps: lists::rehearse(&rehearsal(&services, after, &versions)),
            next: Some(format!("cargo xtask rehearse --target {}", next_target(&shell.config))),
        };
        return shell.run(command, workspace, settings, None, |_| {}).await;
    };
    let target = shell.target_named(&name).await?;
    let mut session = shell.connect(&target, "rehearse").await?;
    let history = History::read(&mut session, &shell.config.history_table).await?;
    session.close().await;
    let after = history.latest_finished().unwrap_or(0);
    // A release that was named says where to end; else everything that is pending goes.
    let mut versions = match releases.last() {
        Some(_) => stops(&releases, after),
        None => vec![newest],
    };
    versions.retain(|version| *version > after);
    let pending = plan::up(&workspace.migrations, &history, versions.last().copied().or(Some(after)));
    let late = match pending {
        Ok(plan) => plan.files().iter().any(|file| !file.resumes && file.version < after),
        // Nothing but that may be pending: it must not pass for nothing to do.
        Err(refusal @ Refusal::OutOfOrder { .. }) => return Err(rehearsal::Error::from(refusal).into()),
        // The steps meet it again.
        Err(_) => false,
    };
    let nothing = versions.is_empty() && history.unfinished().is_none() && !late;
    if versions.is_empty() {
        // What stopped half-way, or comes late, is gone through as well.
        versions.push(after);
    }
    let services = match nothing {
        true => Services::default(),
        false => Services::find(&shell, wanted, &releases, after, &versions, newest).await?,
    };
    let command = Command {
        name: "rehearse",
        target: target.to_string(),
        retry: None,
        release: names(&releases),
        steps: match nothing {
            true => lists::nothing(after),
            false if late => {
                let applied = history.iter().map(|applied| applied.version).collect();
                let back = Back::Keep(applied);
                lists::rehearse_target(&Rehearsal { back, ..rehearsal(&services, after, &versions) })
            }
            false => lists::rehearse_target(&rehearsal(&services, after, &versions)),
        },
        next: (!nothing).then(|| match release {
            Some(release) => format!("cargo xtask migrate --target {name} --release {release}"),
            None => format!("cargo xtask migrate --target {name}"),
        }),
    };
    shell.run(command, workspace, settings, Some(target), |_| {}).await
}

/// The releases to go through, oldest first; none where none is configured.
fn chosen(config: &Config, name: Option<&str>, all: bool) -> Result<Vec<Release>, rehearsal::Error> {
    if all {
        return Ok(config.releases.clone());
    }
    Ok(config.release(name)?.cloned().into_iter().collect())
}

/// Where the run stops to look, from version `at` on.
fn stops(releases: &[Release], at: i64) -> Vec<i64> {
    releases.iter().flat_map(|release| release.stops(at)).collect()
}

fn names(releases: &[Release]) -> Option<String> {
    let names: Vec<&str> = releases.iter().map(|release| release.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The services that are tried out, if any.
#[derive(Default)]
struct Services {
    /// Of the release, with the first version that it works with.
    new: Option<(Arc<Subject>, i64)>,
    /// Of the release before, with the last version that it works with.
    old: Option<(Arc<Subject>, i64)>,
}

impl Services {
    async fn find(
        shell: &Shell,
        wanted: &SmokeArgs,
        releases: &[Release],
        after: i64,
        versions: &[i64],
        latest: i64,
    ) -> anyhow::Result<Self> {
        if !wanted.smoke {
            return Ok(Self::default());
        }
        let config = &shell.config;
        // Before anything is built for nothing.
        smoke::secrets(config).map_err(rehearsal::Error::from)?;
        let builder = Builder { app: &config.app, cache: &shell.environment.cache, cancel: &shell.cancel };
        let newest = versions.last().copied().unwrap_or(after);
        // The old one first: a build of another revision may take the place of the current one's program.
        let old = match &wanted.app_before {
            Some(before) => {
                let program = builder.of(before).await?;
                let oldest = releases.first().map_or(newest, Release::expanded);
                let version = releases.first().map_or(after, |release| release.after);
                Some((Arc::new(smoke::subject(config, "app-before", &program, version)?), oldest))
            }
            None => None,
        };
        let program = match &wanted.app {
            Some(app) => builder.of(app).await?,
            None => builder.current().await?,
        };
        let first = releases.last().map_or(newest, Release::expanded);
        // Code that was named is taken to be of that release; the workspace's own is of the latest.
        let is_of_later = wanted.app.is_none() && newest < latest;
        let subject = Subject { is_of_later, ..smoke::subject(config, "app", &program, newest)? };
        let new = Some((Arc::new(subject), first));
        Ok(Self { new, old })
    }

    /// Those that must work with what is there before: a target may be further back than the release before.
    fn at_start(&self, after: i64) -> &[Arc<Subject>] {
        let made_for_it = self.old.as_ref().filter(|(service, _)| service.version <= after);
        made_for_it.map(|(service, _)| std::slice::from_ref(service)).unwrap_or_default()
    }

    /// The stops, each with those that must work there.
    fn at(&self, versions: &[i64]) -> Vec<Stop> {
        let at = |version: i64| {
            let old = self.old.as_ref().filter(|(_, last)| version <= *last);
            let new = self.new.as_ref().filter(|(_, first)| version >= *first);
            let services = old.into_iter().chain(new).map(|(service, _)| Arc::clone(service)).collect();
            Stop { version, services }
        };
        versions.iter().copied().map(at).collect()
    }
}

/// Without releases in the configuration, the newest migration is one.
fn newest_alone(workspace: &Workspace) -> Result<(i64, Vec<i64>), rehearsal::Error> {
    let mut versions = workspace.migrations.iter().rev().map(|migration| migration.version);
    let Some(to) = versions.next() else {
        return Err(ConfigError::NothingToRehearse { folder: workspace.config.migrations.clone() }.into());
    };
    Ok((versions.next().unwrap_or(0), vec![to]))
}

/// Where a release goes behind a fresh sandbox: to another target than the one at the desk, to one that is not protected
/// if there is any.
fn next_target(config: &Config) -> &str {
    let others = || config.targets.iter().filter(|(name, _)| **name != config.default_target);
    let next = others().find(|(_, target)| !target.protected).or_else(|| others().next());
    next.map_or(config.default_target.as_str(), |(name, _)| name)
}
