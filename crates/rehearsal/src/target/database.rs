//! A named database: what it is to us, and what may be known of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::place::{Host, Place, Secret};
use super::role::Role;
use crate::postgres::CONNECT_TIMEOUT;
use crate::postgres::identity::Identity;
use crate::postgres::journal::JournalConfig;

/// What a throwaway database is called, where others have their name in `rehearsal.toml`.
pub const SANDBOX: &str = "sandbox";

/// A named database and how to reach it.
///
/// ```
/// use rehearsal::target::Target;
/// let target = Target::from_url("staging", "postgres://me:s%20ecret@db.example:5433/shop").unwrap();
/// assert_eq!(target.to_string(), "staging (me@db.example:5433/shop)");
/// assert!(!format!("{target:?}").contains("ecret"));
/// ```
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) name: String,
    /// At least one.
    pub(super) places: Vec<Place>,
    /// The place that has answered: from then on it is the only one, for every copy of this value.
    pub(super) chosen: Arc<OnceLock<usize>>,
    pub(super) role: Role,
    pub(super) user: String,
    pub(super) database: String,
    /// Connection parameters, by libpq's names.
    pub(super) parameters: Vec<(&'static str, String)>,
    /// Settings that every session begins with (`options`).
    pub(super) settings: Vec<(String, String)>,
    pub(super) protected: bool,
    /// What it must be, wherever it is.
    pub(super) identity: Option<Identity>,
    /// Where our own tables are.
    pub(super) journal: Arc<JournalConfig>,
    /// Nothing of the environment is to be added: it was read already, or is not meant for it.
    pub(super) complete: bool,
    /// A password file that was left alone, as others may read it.
    pub(super) passfile_left_alone: Option<PathBuf>,
    pub(super) connect_timeout: Duration,
    /// The pooler that it is taken instead of.
    pub(super) pooler: Option<String>,
}

impl Target {
    /// A server of our own: no TLS, nothing taken from a URL.
    #[must_use]
    pub fn sandbox(host: Host, port: u16, user: &str, password: Option<&str>, database: &str) -> Self {
        Self {
            name: SANDBOX.into(),
            places: vec![Place { host, port, password: password.map(|password| Secret(password.into())) }],
            chosen: Arc::default(),
            role: Role::Any,
            user: user.into(),
            database: database.into(),
            parameters: vec![("sslmode", "disable".into())],
            settings: Vec::new(),
            protected: false,
            identity: None,
            journal: Arc::default(),
            complete: true,
            passfile_left_alone: None,
            connect_timeout: CONNECT_TIMEOUT,
            pooler: None,
        }
    }

    /// Marks it as one that asks before anything is undone on it.
    #[must_use]
    pub fn protected(mut self, protected: bool) -> Self {
        self.protected = protected;
        self
    }

    /// Pins it: a connection to anything else is refused.
    #[must_use]
    pub fn pinned(mut self, identity: Option<Identity>) -> Self {
        self.identity = identity;
        self
    }

    /// Whether it is pinned to one database.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether it may be in one of several places (`host=a,b`).
    #[must_use]
    pub fn has_several_places(&self) -> bool {
        self.places.len() > 1
    }

    /// Says that it is taken instead of a pooler that leads to the same database.
    pub(crate) fn instead_of(mut self, pooler: &Self) -> Self {
        self.pooler = Some(pooler.place().to_string());
        self
    }

    /// Says where our own tables are.
    #[must_use]
    pub fn keeping_journal(mut self, journal: JournalConfig) -> Self {
        self.journal = Arc::new(journal);
        self
    }

    /// Where our own tables are.
    #[must_use]
    pub fn journal(&self) -> &JournalConfig {
        &self.journal
    }

    /// What it is pinned to.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        let identity = self.identity.clone().map(|identity| Identity { database: None, ..identity });
        Self { database: database.into(), identity, ..self.clone() }
    }

    /// The same database as another user with the same password.
    #[must_use]
    pub fn with_user(&self, user: &str) -> Self {
        Self { user: user.into(), ..self.clone() }
    }

    /// The same database, with the settings that sessions of another target begin with.
    #[must_use]
    pub fn with_settings_of(&self, other: &Self) -> Self {
        Self { settings: other.settings.clone(), ..self.clone() }
    }

    /// Whether it says all by itself, so that nothing of the environment is to be added.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The place that has answered, else the first.
    pub(super) fn place(&self) -> &Place {
        &self.places[self.chosen.get().copied().unwrap_or_default()]
    }

    /// Each of the places by itself, in their order; only the one that has answered, once one has.
    pub(crate) fn each_place(&self) -> Vec<(usize, Self)> {
        let at = |index: usize| {
            let chosen = Arc::new(OnceLock::from(index));
            (index, Self { chosen, ..self.clone() })
        };
        match self.chosen.get() {
            Some(&index) => vec![at(index)],
            None => (0..self.places.len()).map(at).collect(),
        }
    }

    /// From now on, this is where it is.
    pub(crate) fn choose(&self, index: usize) {
        let _ = self.chosen.set(index);
    }

    /// What its sessions must be.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// How long a connection may take to open.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// A password file that was left alone, as others may read it.
    pub(crate) fn passfile_left_alone(&self) -> Option<&Path> {
        self.passfile_left_alone.as_deref()
    }

    /// The settings that its sessions begin with.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The password, for a role of a sandbox to be given the same.
    pub(crate) fn password(&self) -> Option<&str> {
        self.place().password.as_ref().map(|Secret(password)| password.as_str())
    }

    /// Its passwords, one for each place where it may be: for whoever has to keep them out of a log.
    pub fn passwords(&self) -> impl Iterator<Item = &str> {
        self.places.iter().filter_map(|place| place.password.as_ref()).map(|Secret(password)| password.as_str())
    }

    /// The role that works on it.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Its name in `rehearsal.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Where its server listens.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.place().host
    }

    /// Whether destructive acts on it must be confirmed.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected
    }

    /// `user@host:port/database`, without the password.
    #[must_use]
    pub fn address(&self) -> String {
        let place = match self.chosen.get() {
            Some(_) => self.place().to_string(),
            None => self.places.iter().map(Place::to_string).collect::<Vec<_>>().join(","),
        };
        format!("{}@{place}/{}", self.user, self.database)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pooler {
            Some(pooler) => write!(f, "{} ({}, not through the pooler at {pooler})", self.name, self.address()),
            None => write!(f, "{} ({})", self.name, self.address()),
        }
    }
}
