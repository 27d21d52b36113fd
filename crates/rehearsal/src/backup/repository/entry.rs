//! What is in a place: backups, and what is none, each called what it is.

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::failure::RepositoryError;
use super::place::Repository;
use crate::backup::manifest::Manifest;
use crate::backup::whose::Whose;
use crate::backup::{BackupError, RestoreError, export};
use crate::error::{Error, Result};

/// How many backups are asked for their manifests at once.
const AT_ONCE: usize = 8;

/// Ends the name of a folder that is not finished yet, see `partial.rs`.
const PARTIAL: &str = ".partial";

/// Clocks of two machines may differ by so much before one is said to be wrong.
const CLOCK_TOLERANCE: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

/// Something in a target's place.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// What it is.
    pub state: State,
    /// What the last check found.
    pub checked: Option<Checked>,
}

/// What it is.
#[derive(Debug, Clone)]
pub enum State {
    /// It has a manifest: it is a backup, proven or not.
    Backup(Box<Manifest>),
    /// It has a manifest that cannot be read.
    Damaged {
        /// Why.
        reason: String,
    },
    /// Tables as files for other programs.
    Exported,
    /// It has no manifest: an upload or a dump under way or left, or what remains of one that was removed.
    Unfinished {
        /// When something was last written there, by the place's clock.
        touched: Option<DateTime<Utc>>,
    },
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When.
    pub at: DateTime<Utc>,
    /// What was looked at, for people.
    pub what: String,
    /// Whether it was as it should be.
    pub good: bool,
    /// The share of the files that was read, where that was not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// What a check before it found, which that of a share does not take back: all of it was read, or something in it
    /// was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Self>>,
}

/// The backup that is taken where none is named.
#[derive(Debug, Clone)]
pub struct Newest {
    /// Its name.
    pub id: String,
    /// Newer ones that are not taken, newest first.
    pub passed_over: Vec<PassedOver>,
}

/// A backup that counts for nothing.
#[derive(Debug, Clone)]
pub struct PassedOver {
    /// Where it is.
    pub place: String,
    /// What is known of it, with the reasons.
    pub state: String,
}

impl Checked {
    /// Nothing that still stands was found wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.good && self.before.as_ref().is_none_or(|before| before.good)
    }

    /// With what of an earlier finding stands beside it.
    fn after(self, earlier: Option<Self>) -> Self {
        let before = match (&self.share, earlier) {
            (None, _) | (_, None) => None,
            (Some(_), Some(earlier)) if earlier.share.is_none() || !earlier.good => {
                Some(Box::new(Self { before: None, ..earlier }))
            }
            (Some(_), Some(earlier)) => earlier.before,
        };
        Self { before, ..self }
    }
}

impl Entry {
    /// Its manifest, if it is a backup.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.state {
            State::Backup(manifest) => Some(manifest),
            _ => None,
        }
    }

    /// Its manifest, if it is a proven backup and no check has found it wrong.
    #[must_use]
    pub fn proven(&self) -> Option<&Manifest> {
        let good = self.checked.as_ref().is_none_or(Checked::is_good);
        self.manifest().filter(|manifest| manifest.is_proven() && good)
    }

    /// Whether it says that it was made later than now: some clock is or was wrong.
    #[must_use]
    pub fn is_of_the_future(&self, now: DateTime<Utc>) -> bool {
        self.manifest().is_some_and(|manifest| manifest.made_at > now + CLOCK_TOLERANCE)
    }
}

impl Repository {
    /// Everything in the place, oldest first: backups by their manifests' time, the rest by name.
    ///
    /// # Errors
    /// The place's. A manifest that cannot be read is an entry, not an error.
    pub async fn entries(&self) -> Result<Vec<Entry>> {
        let ids = self.names().await?;
        let looked: Vec<Entry> = stream::iter(ids).map(|id| self.entry(id)).buffered(AT_ONCE).try_collect().await?;
        let mut entries = looked;
        entries.sort_by(|one, other| {
            let time = |entry: &Entry| entry.manifest().map(|manifest| manifest.made_at);
            match (time(one), time(other)) {
                (Some(one_time), Some(other_time)) => one_time.cmp(&other_time).then_with(|| one.id.cmp(&other.id)),
                _ => one.id.cmp(&other.id),
            }
        });
        Ok(entries)
    }

    /// One of them, whatever it is.
    ///
    /// # Errors
    /// The place's.
    pub async fn one(&self, id: &str) -> Result<Entry> {
        self.entry(id.to_owned()).await
    }

    async fn entry(&self, id: String) -> Result<Entry> {
        let manifest = if id.ends_with(PARTIAL) { Ok(None) } else { self.manifest(&id).await };
        let state = match manifest {
            Ok(Some(manifest)) => State::Backup(Box::new(manifest)),
            Ok(None) => self.without_manifest(&id).await?,
            Err(Error::Backup(BackupError::BadManifest { reason, .. })) => State::Damaged { reason },
            Err(error) => return Err(error),
        };
        let checked = match state {
            State::Backup(_) | State::Damaged { .. } | State::Exported => self.checked(&id).await?,
            _ => None,
        };
        Ok(Entry { id, state, checked })
    }

    async fn without_manifest(&self, id: &str) -> Result<State, RepositoryError> {
        let objects = self.list(&self.path(id)?).await?;
        let exported = self.path(&format!("{id}/{}", export::FILE_NAME))?;
        if objects.iter().any(|meta| meta.location == exported) {
            return Ok(State::Exported);
        }
        Ok(State::Unfinished { touched: objects.iter().map(|meta| meta.last_modified).max() })
    }

    /// What the last check of a backup found.
    async fn checked(&self, id: &str) -> Result<Option<Checked>, RepositoryError> {
        let path = self.aside(&format!("checks/{id}.json"))?;
        // One of a later version is as good as none.
        Ok(self.text(&path).await?.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Notes what a check has found.
    ///
    /// # Errors
    /// The place's.
    pub async fn note_checked(&self, id: &str, checked: Checked) -> Result<(), RepositoryError> {
        let path = self.aside(&format!("checks/{id}.json"))?;
        let checked = checked.after(self.checked(id).await?);
        let text = serde_json::to_vec_pretty(&checked)
            .map_err(|error| RepositoryError::Local { doing: format!("write {path}"), reason: error.to_string() })?;
        self.put(&path, text.into(), object_store::PutMode::Overwrite).await.map(drop)
    }

    /// The newest proven backup, by its manifest's time; one of the future counts only when there is no other.
    /// A newer one that cannot be read is not passed over at all, and others are named. Those of other databases do
    /// not count, if it is said which one is meant.
    ///
    /// # Errors
    /// [`BackupError::Nothing`], [`BackupError::OnlyDumped`] when none is proven, [`BackupError::BadManifest`],
    /// [`RestoreError::OfAnother`] when all of them are of other databases, the place's.
    pub async fn newest(&self, whose: Option<&Whose>) -> Result<Newest> {
        let now = Utc::now();
        let (future, past): (Vec<Entry>, Vec<Entry>) =
            self.entries().await?.into_iter().partition(|entry| entry.is_of_the_future(now));
        let mut passed_over: Vec<PassedOver> = Vec::new();
        let (mut only_dumped, mut of_another) = (None, None);
        for entry in past.into_iter().rev().chain(future.into_iter().rev()) {
            let place = self.place_of(&entry.id);
            if let (Some(whose), Some(manifest)) = (whose, entry.manifest())
                && !whose.is_of(manifest)
            {
                let of = manifest.address.clone();
                passed_over.push(PassedOver { place: place.clone(), state: format!("of another database, {of}") });
                let target = self.target().to_owned();
                of_another.get_or_insert(RestoreError::OfAnother { target, newest: place, of });
                continue;
            }
            if entry.proven().is_some() {
                return Ok(Newest { id: entry.id, passed_over });
            }
            if let State::Damaged { reason } = entry.state {
                return Err(BackupError::BadManifest { folder: self.place_of(&entry.id).into(), reason }.into());
            }
            if let Some(manifest) = entry.manifest() {
                let found_wrong = manifest.is_proven();
                let state = if found_wrong { "wrong: a check found it so".into() } else { manifest.proof.to_string() };
                only_dumped.get_or_insert_with(|| BackupError::OnlyDumped {
                    folder: place.clone().into(),
                    state: state.clone(),
                });
                passed_over.push(PassedOver { place, state });
            }
        }
        let nothing = || BackupError::Nothing { target: self.target().to_owned(), folder: self.place().into() };
        Err(match (only_dumped, of_another) {
            (Some(only_dumped), _) => only_dumped.into(),
            (None, Some(of_another)) => of_another.into(),
            (None, None) => nothing().into(),
        })
    }
}
