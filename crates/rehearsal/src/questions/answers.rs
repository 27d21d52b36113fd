//! Who has answered what, for which migrations: kept, so that nobody is asked twice for the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::question::Question;
use crate::error::Result;
use crate::event::MigrationDigest;
use crate::occasion::{Act, Occasion};
use crate::store::write_whole;

/// Version of the files' format; it goes up when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// How many digits of a digest a file's name has: enough to tell apart what one target ever sees.
const NAME_DIGITS: usize = 16;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Of which question.
    pub id: String,
    /// The question as it was asked.
    pub ask: String,
    /// The answer.
    pub yes: bool,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The answers for a run's migrations.
pub struct Answers {
    folder: PathBuf,
    run: Occasion,
    migrations: Vec<MigrationDigest>,
    given: BTreeMap<String, Answer>,
}

#[derive(Serialize, Deserialize)]
struct Sheet {
    format: u32,
    command: Act,
    target: String,
    releases: Vec<String>,
    migrations: Vec<MigrationDigest>,
    answers: Vec<Answer>,
}

impl Answers {
    /// Reads what was answered for these migrations. What was answered for more of them holds for what is
    /// left when that run stopped half-way. Files that cannot be read are passed over: who is asked again
    /// loses less than who is not asked.
    #[must_use]
    pub fn read(folder: &Path, run: &Occasion, migrations: Vec<MigrationDigest>) -> Self {
        let folder = folder.join(file_name(&run.target));
        let sheets = std::fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| {
            let bytes = std::fs::read(entry.ok()?.path()).ok()?;
            serde_json::from_slice::<Sheet>(&bytes).ok()
        });
        let mut given: BTreeMap<String, Answer> = BTreeMap::new();
        for sheet in sheets.filter(|sheet| sheet.is_for(run, &migrations)) {
            for answer in sheet.answers {
                if given.get(&answer.id).is_none_or(|other| other.at < answer.at) {
                    given.insert(answer.id.clone(), answer);
                }
            }
        }
        Self { folder, run: run.clone(), migrations, given }
    }

    /// Who said yes to that question, in these words.
    #[must_use]
    pub fn yes(&self, question: &Question) -> Option<&Answer> {
        self.given.get(&question.id).filter(|answer| answer.yes && answer.ask == question.ask)
    }

    /// Keeps answers beside those that are there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&mut self, answers: &[Answer]) -> Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        self.given.extend(answers.iter().map(|answer| (answer.id.clone(), answer.clone())));
        let Occasion { act, target, releases } = &self.run;
        let sheet = Sheet {
            format: FORMAT,
            command: *act,
            target: target.clone(),
            releases: releases.clone(),
            migrations: self.migrations.clone(),
            answers: self.given.values().cloned().collect(),
        };
        let json = serde_json::to_vec_pretty(&sheet).map_err(std::io::Error::other);
        let name = format!("{}-{}.json", act.as_str(), digest(&self.migrations));
        let path = self.folder.join(name);
        write_whole(&path, &json.map_err(crate::Error::io("write", &path))?)
    }
}

impl Sheet {
    fn is_for(&self, run: &Occasion, migrations: &[MigrationDigest]) -> bool {
        self.format == FORMAT
            && self.command == run.act
            && self.target == run.target
            && migrations.iter().all(|migration| self.migrations.contains(migration))
    }
}

fn digest(migrations: &[MigrationDigest]) -> String {
    let words: Vec<String> = migrations
        .iter()
        .map(|MigrationDigest { version, up, down }| format!("{version} {up} {}", down.as_deref().unwrap_or_default()))
        .collect();
    let digits = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(words.join("\n").as_bytes()));
    digits[..NAME_DIGITS].to_owned()
}

/// A target's name may hold what a folder's name must not.
fn file_name(target: &str) -> String {
    target.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
}
