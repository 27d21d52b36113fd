//! `rehearsal.toml`: what the user wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::RegexSet;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::analysis::lint_rules::LintConfig;
use crate::anonymise::config::AnonymiseConfig;
use crate::apply::{Limits, OwnLimits};
use crate::backup::ProofLevel;
use crate::backup::repository::Location;
use crate::backup::repository::recipients::Recipients;
use crate::backup::repository::retention::Keep;
use crate::doctor::variable::{self, Variable};
use crate::hooks::hook::{self, Hook};
use crate::human_time::HumanTime;
use crate::occasion::Known;
use crate::postgres::history::DEFAULT_TABLE;
use crate::postgres::identity::Identity;
use crate::postgres::journal::JournalConfig;
use crate::questions::question::{self, Question};
use crate::release::{self, Release};
use crate::smoke::app::AppConfig;
use crate::smoke::request::{self, SmokeTest};
use crate::tolerance::{OutOfOrder, Tolerance};

/// The file's name, in the workspace's root.
pub const FILE_NAME: &str = "rehearsal.toml";

/// All of `rehearsal.toml`. Without the file, everything is at its default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder of the migrations.
    pub migrations: PathBuf,
    /// The folder of the checks.
    pub checks: PathBuf,
    /// The folder of the fixtures.
    pub fixtures: PathBuf,
    /// The target that is meant when none is named.
    pub default_target: String,
    /// The databases that somebody depends on.
    pub targets: BTreeMap<String, TargetConfig>,
    /// The releases, oldest first.
    pub releases: Vec<Release>,
    /// The folder of the code's queries, as `sqlx prepare` writes them.
    pub contract: PathBuf,
    /// The service of this workspace.
    pub app: AppConfig,
    /// Requests to it, and what they must be answered with.
    pub smoke: Vec<SmokeTest>,
    /// What is run around a change of a target.
    pub hooks: Vec<Hook>,
    /// What must stand in the environment, and how.
    pub variables: Vec<Variable>,
    /// What only a person can answer before it.
    pub questions: Vec<Question>,
    /// The folder of the answers.
    pub answers: PathBuf,
    /// What clients do meanwhile.
    pub traffic: TrafficConfig,
    /// What is looked at for a while after a release.
    pub watch: WatchConfig,
    /// Throwaway servers.
    pub sandbox: SandboxConfig,
    /// PostgreSQL's programs on this machine.
    pub postgres: PostgresConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// What becomes of columns in copies for others.
    pub anonymise: AnonymiseConfig,
    /// Records of runs.
    pub records: RecordsConfig,
    /// How far files that are not one transaction have come is kept there.
    pub journal: JournalConfig,
    /// How long things may take.
    pub limits: Limits,
    /// What of an untidy history is accepted.
    pub history: Tolerance,
    /// Which rules of the linter speak.
    pub lint: LintConfig,
    /// sqlx's history table; `sqlx.toml` decides it, if there is one.
    #[serde(skip)]
    pub history_table: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            migrations: "migrations".into(),
            checks: "migrations/checks".into(),
            fixtures: "migrations/fixtures".into(),
            default_target: "dev".into(),
            targets: BTreeMap::new(),
            releases: Vec::new(),
            contract: ".sqlx".into(),
            app: AppConfig::default(),
            smoke: Vec::new(),
            hooks: Vec::new(),
            variables: Vec::new(),
            questions: Vec::new(),
            answers: ".rehearsal/answers".into(),
            traffic: TrafficConfig::default(),
            watch: WatchConfig::default(),
            sandbox: SandboxConfig::default(),
            postgres: PostgresConfig::default(),
            backup: BackupConfig::default(),
            anonymise: AnonymiseConfig::default(),
            records: RecordsConfig::default(),
            journal: JournalConfig::default(),
            limits: Limits::default(),
            history: Tolerance::default(),
            lint: LintConfig::default(),
            history_table: DEFAULT_TABLE.into(),
        }
    }
}

/// `[targets.NAME]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TargetConfig {
    /// The environment variable that holds its URL; by default `NAME_DATABASE_URL`, and
    /// `DATABASE_URL` for the default target.
    pub url_env: Option<String>,
    /// The environment variable that holds the URL of the server itself, where the other one may lead through
    /// a connection pooler.
    pub direct_url_env: Option<String>,
    /// Destructive acts on it must be confirmed.
    pub protected: bool,
    /// What its database is known by: anything else behind the URL is refused.
    pub identity: Option<Identity>,
    /// Limits of its own.
    pub limits: OwnLimits,
    /// Which versions may come late on it, instead of what `[history]` says.
    pub out_of_order: OutOfOrder,
}

/// `[traffic]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrafficConfig {
    /// The folder of the statements.
    pub from: PathBuf,
    /// How many clients there are at once.
    pub clients: usize,
    /// How long a client waits between two statements.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub pause: Duration,
    /// A client that is held for longer fails the rehearsal.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub patience: Duration,
}

impl Default for TrafficConfig {
    fn default() -> Self {
        Self {
            from: "migrations/traffic".into(),
            clients: 4,
            pause: Duration::from_millis(5),
            // Longer than people take for an immediate answer (the one second of Miller 1968 and Card et
            // al. 1991, which interface guidelines go by).
            patience: Duration::from_secs(1),
        }
    }
}

/// `[watch]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// The service's log files.
    pub logs: Vec<PathBuf>,
    /// Regular expressions; a new line in which one of them is found ends the watch with an error.
    #[serde(deserialize_with = "patterns")]
    #[schemars(with = "Vec<String>")]
    pub red_flags: RegexSet,
    /// Regular expressions; the new lines in which one of them is found are counted.
    #[serde(deserialize_with = "patterns")]
    #[schemars(with = "Vec<String>")]
    pub good_signs: RegexSet,
}

fn patterns<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<RegexSet, D::Error> {
    let patterns = Vec::<String>::deserialize(deserializer)?;
    RegexSet::new(patterns).map_err(serde::de::Error::custom)
}

/// `[sandbox]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// `auto`, `docker`, `local` or `embedded`.
    pub provider: crate::providers::Choice,
    /// The major version when no target decides it.
    pub postgres: Option<u32>,
    /// An image instead of the official one (PostGIS, Timescale …).
    pub image: Option<String>,
    /// How long a start may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub start_limit: Duration,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            provider: crate::providers::Choice::default(),
            postgres: None,
            image: None,
            // A cold container on a busy CI machine was seen to take 20 s.
            start_limit: Duration::from_secs(60),
        }
    }
}

/// `[postgres]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// Folders with PostgreSQL programs, looked at before all others.
    pub programs: Vec<PathBuf>,
}

/// `[backup]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackupConfig {
    /// The folder that gets a folder per target, or a place in an object store: `s3://bucket/prefix`,
    /// `gs://…`, `az://…`.
    pub to: Location,
    /// How many connections pg_dump and pg_restore use.
    pub jobs: usize,
    /// How much of a backup is proven. Before a change of a database, `none` counts as `full`.
    pub proof: ProofLevel,
    /// Who may read backups: public keys of age. Without any, they are not encrypted.
    pub recipients: Recipients,
    /// The folder in which backups are made and proven before they are encrypted or sent.
    pub staging: PathBuf,
    /// How long one request to an object store is tried before it is given up.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "HumanTime")]
    pub patience: Duration,
    /// Which backups `db-backup prune` leaves.
    pub keep: Keep,
}

impl BackupConfig {
    /// Whether a backup is made elsewhere first: what is kept is not what pg_restore reads.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        self.to.is_remote() || !self.recipients.is_empty()
    }
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self {
            to: Location::Folder("backups".into()),
            jobs: 2,
            proof: ProofLevel::default(),
            recipients: Recipients::default(),
            staging: ".rehearsal/staging".into(),
            // Longer than a service is away when it moves house; below the five minutes after which
            // a request's signature is refused (object_store's `RetryConfig`).
            patience: Duration::from_secs(180),
            keep: Keep::default(),
        }
    }
}

/// `[records]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordsConfig {
    /// The folder.
    pub to: PathBuf,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self { to: ".rehearsal/records".into() }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It does not say what it must.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        reason: String,
    },
    /// No such release.
    #[error("there is no release `{name}`; rehearsal.toml knows: {known}")]
    UnknownRelease {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// `--expand` means one release, and more of them are pending.
    #[error("several releases are pending ({names}), and the running code can be kept working through one only")]
    SeveralPending {
        /// Their names, oldest first.
        names: String,
        /// The oldest of them.
        oldest: String,
    },
    /// `--expand` means a release, and what is pending belongs to none.
    #[error("what is pending belongs to no release: where its expand part ends is not known")]
    NoReleasePending,
    /// There is nothing to rehearse.
    #[error("there is no migration to rehearse in {}", folder.display())]
    NothingToRehearse {
        /// The migrations folder.
        folder: PathBuf,
    },
    /// A program's embedded migrations ask for what is not done here.
    #[error("the embedded migrations ask for {setting}, which is not done here")]
    Embedded {
        /// sqlx's name for it.
        setting: &'static str,
    },
}

impl ConfigError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "name another file with --config, or restore this one".into(),
            Self::Malformed { .. } => {
                "mend that line; docs/src/reference/configuration.md lists what may stand in the file".into()
            }
            Self::UnknownRelease { .. } => "add a [[releases]] table with name, after and to".into(),
            Self::SeveralPending { oldest, .. } => {
                format!("name one: --release {oldest} --expand first, then its code, then --release {oldest}")
            }
            Self::NoReleasePending => "add a [[releases]] table that holds the pending versions".into(),
            Self::NothingToRehearse { .. } => "add a migration: `cargo xtask sqlx migrate add -r NAME`".into(),
            Self::Embedded { .. } => {
                "leave the migrator as `sqlx::migrate!` makes it, or let sqlx itself apply these migrations".into()
            }
        }
    }
}

impl Config {
    /// Reads the configuration of the workspace at `root`: `rehearsal.toml` (or `file`), and what
    /// sqlx's own `sqlx.toml` says of the history table.
    ///
    /// # Errors
    /// [`ConfigError`]; a file that was named must be there.
    pub fn load(root: &Path, file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.map_or_else(|| root.join(FILE_NAME), Path::to_owned);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        let mut config = toml::from_str::<Self>(&text)
            .map_err(|error| ConfigError::Malformed { path: path.clone(), reason: one_line(&error, &text) })?;
        if let Some((index, reason)) = release::complaint(&config.releases) {
            let reason = at_line(&text, |lines| lines.releases.get(index), &reason);
            return Err(ConfigError::Malformed { path, reason });
        }
        if let Some((index, reason)) = request::complaint(&config.smoke) {
            let reason = at_line(&text, |lines| lines.smoke.get(index), &reason);
            return Err(ConfigError::Malformed { path, reason });
        }
        // The default target needs no table of its own.
        let unlisted_default = Some(&config.default_target).filter(|name| !config.targets.contains_key(*name));
        let known = Known {
            targets: config.targets.keys().chain(unlisted_default).map(String::as_str).collect(),
            releases: config.releases.iter().map(|release| release.name.as_str()).collect(),
        };
        if let Some((index, reason)) = hook::complaint(&config.hooks, &known) {
            let reason = at_line(&text, |lines| lines.hooks.get(index), &reason);
            return Err(ConfigError::Malformed { path, reason });
        }
        if let Some((index, reason)) = question::complaint(&config.questions, &known) {
            let reason = at_line(&text, |lines| lines.questions.get(index), &reason);
            return Err(ConfigError::Malformed { path, reason });
        }
        if let Some((index, reason)) = variable::complaint(&config.variables, &known.targets) {
            let reason = at_line(&text, |lines| lines.variables.get(index), &reason);
            return Err(ConfigError::Malformed { path, reason });
        }
        let complaint = config.app.complaint().or_else(|| config.limits_complaint());
        let complaint = complaint.or_else(|| config.journal.complaint()).or_else(|| config.anonymise.complaint());
        if let Some(reason) = complaint.or_else(|| config.lint.complaint()) {
            return Err(ConfigError::Malformed { path, reason });
        }
        if let Some(table) = sqlx_history_table(root)? {
            config.history_table = table;
        }
        let logs = config.watch.logs.iter_mut();
        let of_targets = config.targets.values_mut().filter_map(|target| target.limits.pause_file.as_mut());
        let backups = match &mut config.backup.to {
            Location::Folder(folder) => Some(folder),
            Location::Remote(_) => None,
        };
        for folder in logs.chain(&mut config.limits.pause_file).chain(of_targets).chain(backups).chain([
            &mut config.migrations,
            &mut config.checks,
            &mut config.fixtures,
            &mut config.traffic.from,
            &mut config.contract,
            &mut config.answers,
            &mut config.backup.staging,
            &mut config.records.to,
        ]) {
            // A path in the file is meant from the workspace's root; messages keep it short there.
            if folder.is_relative() && root != Path::new(".") {
                *folder = root.join(&*folder);
            }
        }
        Ok(config)
    }

    /// The release of that name; without a name the newest one, if any is configured.
    ///
    /// # Errors
    /// [`ConfigError::UnknownRelease`].
    pub fn release(&self, name: Option<&str>) -> Result<Option<&Release>, ConfigError> {
        let Some(name) = name else { return Ok(self.releases.last()) };
        match self.releases.iter().find(|release| release.name == name) {
            Some(release) => Ok(Some(release)),
            None => Err(ConfigError::UnknownRelease {
                name: name.into(),
                known: list(self.releases.iter().map(|release| release.name.as_str())),
            }),
        }
    }

    /// The release that a version belongs to.
    #[must_use]
    pub fn release_of(&self, version: i64) -> Option<&Release> {
        self.releases.iter().find(|release| release.holds(version))
    }

    /// The release whose expand part is meant when none is named: the one that is pending. None when
    /// nothing is.
    ///
    /// # Errors
    /// [`ConfigError::SeveralPending`]: the contract part of the older one would go out with it.
    /// [`ConfigError::NoReleasePending`].
    pub fn release_to_expand(&self, pending: &[i64]) -> Result<Option<&Release>, ConfigError> {
        match *release::pending(&self.releases, pending) {
            [] if pending.is_empty() => Ok(None),
            [] => Err(ConfigError::NoReleasePending),
            [one] => Ok(Some(one)),
            [oldest, ..] => Err(ConfigError::SeveralPending {
                names: list(release::pending(&self.releases, pending).into_iter().map(|release| release.name.as_str())),
                oldest: oldest.name.clone(),
            }),
        }
    }

    /// What is accepted of the history of that target.
    #[must_use]
    pub fn tolerance(&self, target: &str) -> Tolerance {
        let own = self.targets.get(target).map(|settings| &settings.out_of_order);
        let own = own.filter(|own| **own != OutOfOrder::Unsaid);
        Tolerance { out_of_order: own.unwrap_or(&self.history.out_of_order).clone(), ..self.history.clone() }
    }

    /// The environment variable that holds a target's URL, and the target's settings.
    ///
    /// # Errors
    /// [`crate::target::TargetError::Unknown`].
    pub fn target(&self, name: &str) -> Result<(String, TargetConfig), crate::target::TargetError> {
        let settings = match self.targets.get(name) {
            Some(settings) => settings.clone(),
            None if name == self.default_target => TargetConfig::default(),
            None => {
                return Err(crate::target::TargetError::Unknown {
                    name: name.into(),
                    known: list(self.targets.keys().map(String::as_str)),
                });
            }
        };
        let variable = settings.url_env.clone().unwrap_or_else(|| {
            if name == self.default_target {
                "DATABASE_URL".into()
            } else {
                format!("{}_DATABASE_URL", name.to_uppercase().replace('-', "_"))
            }
        });
        Ok((variable, settings))
    }

    /// The limits of a target: its own over those of `[limits]`.
    #[must_use]
    pub fn limits_of(&self, target: &str) -> Limits {
        self.targets.get(target).map_or_else(|| self.limits.clone(), |settings| settings.limits.over(&self.limits))
    }

    fn limits_complaint(&self) -> Option<String> {
        let of_all = self.limits.complaint().map(|complaint| format!("limits.{complaint}"));
        of_all.or_else(|| {
            self.targets
                .keys()
                .find_map(|name| Some(format!("targets.{name}.limits.{}", self.limits_of(name).complaint()?)))
        })
    }
}

/// `[history]` and `[journal]` of a file's text; what else stands there is for the commands.
pub(crate) fn startup(text: &str) -> Result<(Tolerance, JournalConfig), ConfigError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Part {
        history: Tolerance,
        journal: JournalConfig,
    }
    let malformed = |reason| ConfigError::Malformed { path: FILE_NAME.into(), reason };
    let Part { history, journal } = toml::from_str(text).map_err(|error| malformed(one_line(&error, text)))?;
    journal.complaint().map_or(Ok((history, journal)), |reason| Err(malformed(reason)))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    error.span().map_or_else(|| message.clone(), |span| format!("line {}: {message}", line_of(text, span.start)))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// Where the tables stand that are judged once all of them are read.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Places {
    releases: Vec<toml::Spanned<serde::de::IgnoredAny>>,
    smoke: Vec<toml::Spanned<serde::de::IgnoredAny>>,
    hooks: Vec<toml::Spanned<serde::de::IgnoredAny>>,
    variables: Vec<toml::Spanned<serde::de::IgnoredAny>>,
    questions: Vec<toml::Spanned<serde::de::IgnoredAny>>,
}

fn at_line(
    text: &str,
    choose: impl Fn(&Places) -> Option<&toml::Spanned<serde::de::IgnoredAny>>,
    reason: &str,
) -> String {
    let places: Places = toml::from_str(text).unwrap_or_default();
    choose(&places)
        .map_or_else(|| reason.to_owned(), |place| format!("line {}: {reason}", line_of(text, place.span().start)))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SqlxToml {
    migrate: SqlxMigrate,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct SqlxMigrate {
    table_name: Option<String>,
}

/// sqlx reads `sqlx.toml` when it compiles and in its CLI; a migrator made at run time does not.
fn sqlx_history_table(root: &Path) -> Result<Option<String>, ConfigError> {
    let path = root.join("sqlx.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str::<SqlxToml>(&text)
            .map(|file| file.migrate.table_name)
            .map_err(|error| ConfigError::Malformed { reason: one_line(&error, &text), path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_told_with_its_line() {
        let root = tempfile::tempdir().expect("temporary folder");
        std::fs::write(root.path().join(FILE_NAME), "default_target = \"x\"\n\n[backup]\nfolder = \"b\"\n")
            .expect("written");
        let error = Config::load(root.path(), None).expect_err("refused").to_string();
        assert!(error.contains("line 4: unknown field `folder`"), "{error}");
    }

    #[test]
    fn a_target_has_its_variable() {
        let root = tempfile::tempdir().expect("temporary folder");
        let text = "[targets.staging]\nprotected = true\n[targets.production]\nurl_env = \"PROD\"\n";
        std::fs::write(root.path().join(FILE_NAME), text).expect("written");
        let config = Config::load(root.path(), None).expect("loads");
        let variable =
            |name: &str| config.target(name).map(|(variable, _)| variable).map_err(|error| error.to_string());
        assert_eq!(variable("dev"), Ok("DATABASE_URL".into()));
        assert_eq!(variable("staging"), Ok("STAGING_DATABASE_URL".into()));
        assert_eq!(variable("production"), Ok("PROD".into()));
        assert_eq!(
            variable("prod"),
            Err("there is no target `prod`; rehearsal.toml knows: production, staging".into())
        );
    }
}
