//! What a run is going to do, decided before anything is written.
//!
//! Pure: migrations and the recorded history in, a [`Plan`] or a [`Refusal`] out. Only this module
//! makes a [`Plan`], so whatever runs has been checked.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Kind;
use crate::history_table;
use crate::postgres::history::{Applied, DEFAULT_TABLE, History};
use crate::postgres::journal::Unfinished;
use crate::source::{Migration, MigrationSet, SourceError};
use crate::statement::{Class, Mode, Parsed, Statement};
use crate::tolerance;

/// The way out where a pooler stands in between.
pub const DIRECT_URL: &str = "give the direct URL of the server instead (its own port, or the host without `-pooler`); or both, the direct one in the variable that `direct_url_env` of the target names in rehearsal.toml";

/// There or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The up file.
    Up,
    /// The down file.
    Down,
}

impl Direction {
    /// As the journal writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One file to run.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// Its version.
    pub version: i64,
    /// Its description.
    pub description: String,
    /// What sqlx keeps of its up file.
    pub checksum: Vec<u8>,
    /// There or back.
    pub direction: Direction,
    /// Its statements.
    pub script: Arc<Parsed>,
    /// An earlier run stopped in it; this one goes on.
    pub resumes: bool,
}

/// The files of a run, in order. Made by [`up`] and [`down`] only.
#[derive(Debug, Clone)]
pub struct Plan {
    files: Vec<PlannedFile>,
    notes: Vec<String>,
}

impl Plan {
    fn checked(set: &MigrationSet, files: Vec<PlannedFile>, mut notes: Vec<String>) -> Result<Self, Refusal> {
        let table = set.history_table().unwrap_or(DEFAULT_TABLE);
        for file in &files {
            notes.extend(history_table::look(file, table)?);
        }
        Ok(Self { files, notes })
    }

    /// The files, in the order in which they run.
    #[must_use]
    pub fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    /// What a reader should know: line ends that differ, files sent whole …
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Why no plan can be made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A file is no longer what was applied.
    #[error("{} was edited after it was applied (its checksum is not the recorded one)", path.display())]
    Edited {
        /// Its version.
        version: i64,
        /// The file.
        path: PathBuf,
    },
    /// A statement that has been done is no longer what was done.
    #[error("{}: statement {statement} was changed, removed or moved after it was run", path.display())]
    DoneStatementChanged {
        /// The file.
        path: PathBuf,
        /// The statement's number in it.
        statement: usize,
    },
    /// An applied version has no file.
    #[error("version {version} ({description}) is applied, but the migrations folder has no file for it")]
    MissingFile {
        /// The version.
        version: i64,
        /// What the history calls it.
        description: String,
    },
    /// A version that is to be undone has no file.
    #[error("version {version} has no files in the migrations folder: it cannot be rolled back by a migration")]
    NothingToUndoWith {
        /// The version.
        version: i64,
    },
    /// A pending version is older than an applied one.
    #[error("version {version} is pending although {latest} is applied already: it would run out of order")]
    OutOfOrder {
        /// The pending version.
        version: i64,
        /// The newest applied one.
        latest: i64,
    },
    /// An older version is pending before the one that is meant.
    #[error("version {older} is pending before version {version}")]
    OlderPending {
        /// The one that is meant.
        version: i64,
        /// The older one.
        older: i64,
    },
    /// A half-applied version that is not ours to finish.
    #[error("version {version} is recorded as not finished, and the journal does not know how far it came")]
    Dirty {
        /// The version.
        version: i64,
    },
    /// A run of ours stopped in it, so its row is right as it is.
    #[error("version {version} stopped half-way: its row in the history is right")]
    Unfinished {
        /// The version.
        version: i64,
    },
    /// A rollback stopped half-way.
    #[error("a rollback of version {version} stopped half-way")]
    RollbackUnfinished {
        /// The version.
        version: i64,
    },
    /// A migration stopped half-way.
    #[error("the migration to version {version} stopped half-way")]
    MigrationUnfinished {
        /// The version.
        version: i64,
    },
    /// The very files did not lead back when they were rehearsed.
    #[error("the way back by down files failed in a rehearsal of these very files: {why}")]
    DidNotComeBack {
        /// The rehearsal, and what it found.
        why: String,
    },
    /// There is no way back.
    #[error("version {version} has no down file: it cannot be rolled back by a migration")]
    NoDown {
        /// The version.
        version: i64,
    },
    /// No such version.
    #[error("there is no version {version} {place}")]
    UnknownVersion {
        /// What was asked for.
        version: i64,
        /// Where it was looked for.
        place: &'static str,
    },
    /// More steps than there are.
    #[error("only {applied} versions are applied, {asked} cannot be rolled back")]
    TooManySteps {
        /// How many there are.
        applied: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// A file holds what cannot run.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The database is not fit for a release right now.
    #[error("the database is not ready: {}", reasons.join("; "))]
    NotReady {
        /// One phrase each.
        reasons: Vec<String>,
        /// What to do.
        remedy: String,
    },
    /// Behind a transaction pooler neither locks nor settings hold.
    #[error("{address} is a connection pooler in transaction mode: locks and time limits do not hold through it")]
    Pooled {
        /// The target, without its password.
        address: String,
    },
    /// Somebody must say yes.
    #[error("{what} on the protected target `{target}` needs a confirmation")]
    Unconfirmed {
        /// What is about to happen.
        what: String,
        /// The target.
        target: String,
    },
}

impl Refusal {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Source(error) => error.kind(),
            Self::UnknownVersion { .. } | Self::TooManySteps { .. } => Kind::Usage,
            Self::RollbackUnfinished { .. } | Self::MigrationUnfinished { .. } => Kind::Resumable,
            _ => Kind::Refused,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Edited { path, version } => format!(
                "restore {} as it was applied (git log -p on it shows how), and put the change into a new migration; if it changes nothing of what was applied, `cargo xtask repair {version} --reason TEXT` records it as it is",
                path.display()
            ),
            Self::DoneStatementChanged { path, statement } => format!(
                "the run stopped after it, or in one of its batches: leave the first {statement} statements of {} as they were, mend what comes after, and the rows where a batch stops",
                path.display()
            ),
            Self::MissingFile { version, .. } => format!(
                "check out the commit that has the file; what was applied must stay in the folder, unless `missing_files = [{version}]` under {} in rehearsal.toml says that it is gone for good",
                tolerance::TABLE
            ),
            Self::NothingToUndoWith { .. } => {
                "check out the commit that has its files, or put a backup in its place (`cargo xtask rollback --way restore`)".into()
            }
            Self::OutOfOrder { version, latest } => format!(
                "give it a number after {latest}; or, if nothing of what is applied stands in its way, write `out_of_order = [{version}]` under {} in rehearsal.toml, and rehearse it",
                tolerance::TABLE
            ),
            Self::OlderPending { version, older } => format!(
                "`cargo xtask migrate --to {older}` applies it, `cargo xtask mark-applied {older}` records it if it is there as well; then go on with {version}"
            ),
            Self::Dirty { version } => format!(
                "another tool stopped in it: look what version {version} left behind; if all of it is there, `cargo xtask mark-applied {version}` proves that and records it; if nothing is, delete its row in _sqlx_migrations; else mend it by hand first"
            ),
            Self::Unfinished { .. } => {
                "`cargo xtask migrate` or `cargo xtask rollback` with the same target goes on where it stopped".into()
            }
            Self::RollbackUnfinished { .. } => {
                "run `cargo xtask rollback` with the same target: it goes on where it stopped".into()
            }
            Self::MigrationUnfinished { .. } => {
                "run `cargo xtask migrate` with the same target: it goes on where it stopped".into()
            }
            Self::NoDown { version } => format!(
                "`cargo xtask rollback --way restore` puts a backup in its place, `--way forward` says what would mend it; or write a down file for version {version}"
            ),
            Self::DidNotComeBack { .. } => {
                "`--way restore` puts a backup in its place, `--way forward` says what would mend it; `--way down` runs the files all the same".into()
            }
            Self::UnknownVersion { .. } => "`cargo xtask status` lists the versions".into(),
            Self::TooManySteps { .. } => "`cargo xtask status` lists what is applied".into(),
            Self::Source(error) => error.hint(),
            Self::NotReady { remedy, .. } => remedy.clone(),
            Self::Pooled { .. } => DIRECT_URL.into(),
            Self::Unconfirmed { target, .. } => {
                format!("at a terminal type the name `{target}` when asked; elsewhere add --yes")
            }
        }
    }
}

/// Where a rollback ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// This many versions less: those that were applied last.
    Steps(usize),
    /// These versions stay, and no others.
    Keep(Vec<i64>),
    /// This version is the newest that stays; 0 keeps none.
    To(i64),
}

/// What the comparison of files and history says, before a direction is chosen.
fn validate(set: &MigrationSet, history: &History, notes: &mut Vec<String>) -> Result<(), Refusal> {
    for applied in history.iter() {
        let Some(migration) = set.get(applied.version) else {
            if set.tolerance().lets_be_missing(applied.version) {
                continue;
            }
            return Err(Refusal::MissingFile { version: applied.version, description: applied.description.clone() });
        };
        // What stopped half-way may be mended behind the statements that are done.
        let mendable = !applied.success && history.journalled().is_some();
        if mendable || migration.up.checksum == applied.checksum {
            continue;
        }
        if !migration.differs_only_in_line_ends(&applied.checksum) {
            return Err(Refusal::Edited { version: applied.version, path: migration.up.path.clone() });
        }
        notes.push(format!(
            "{} differs from what was applied in its line ends only; accepted",
            migration.up.path.display()
        ));
    }
    Ok(())
}

fn planned(
    migration: &Migration,
    direction: Direction,
    unfinished: Option<&Unfinished>,
    notes: &mut Vec<String>,
) -> Result<PlannedFile, Refusal> {
    let source = match direction {
        Direction::Up => &migration.up,
        Direction::Down => migration.down.as_ref().ok_or(Refusal::NoDown { version: migration.version })?,
    };
    let mut script = Arc::clone(source.parsed()?);
    if let Some(unfinished) = unfinished {
        // Its history row is there: only statement by statement can it be taken up.
        Arc::make_mut(&mut script).mode = Mode::Stepwise;
        for (number, digest) in &unfinished.fixed {
            let there = script.statements.get(number.wrapping_sub(1)).map(Statement::digest);
            if there.as_ref() != Some(digest) {
                return Err(Refusal::DoneStatementChanged { path: script.path.clone(), statement: *number });
            }
        }
    }
    notes.extend(script.notes.iter().map(|note| format!("{}:{note}", script.path.display())));
    if let Some(reason) = &script.unparsed {
        notes.push(format!(
            "{}: the parser does not understand it ({reason}), so it is sent whole",
            script.path.display()
        ));
    }
    let outside = script.statements.iter().find(|statement| matches!(statement.class, Class::NonTransactional(_)));
    if let Some(statement) = outside.filter(|_| !source.no_transaction) {
        notes.push(format!(
            "{}:{}: this cannot run in a transaction; sqlx needs `-- no-transaction` as the file's first line to run it",
            script.path.display(), statement.line
        ));
    }
    Ok(PlannedFile {
        version: migration.version,
        description: migration.description.clone(),
        checksum: migration.up.checksum.clone(),
        direction,
        script,
        resumes: unfinished.is_some(),
    })
}

/// The versions that are pending, up to and including `to`.
///
/// # Errors
/// A [`Refusal`] when files and history disagree.
pub fn up(set: &MigrationSet, history: &History, to: Option<i64>) -> Result<Plan, Refusal> {
    let mut notes = Vec::new();
    validate(set, history, &mut notes)?;
    if let Some(version) = to
        && set.get(version).is_none()
    {
        return Err(Refusal::UnknownVersion { version, place: "in the migrations folder" });
    }
    if let Some(unfinished) = history.unfinished() {
        let version = unfinished.version;
        match history.journalled().map(|unfinished| unfinished.direction) {
            Some(Direction::Up) => {}
            Some(Direction::Down) => return Err(Refusal::RollbackUnfinished { version }),
            None => return Err(Refusal::Dirty { version }),
        }
    }
    let latest = history.latest_finished();
    let mut files = Vec::new();
    for migration in set.iter().filter(|migration| to.is_none_or(|to| migration.version <= to)) {
        match history.get(migration.version) {
            Some(Applied { success: true, .. }) => {}
            Some(Applied { success: false, .. }) => {
                files.push(planned(migration, Direction::Up, history.journalled(), &mut notes)?);
            }
            None => {
                if let Some(latest) = latest.filter(|latest| *latest > migration.version) {
                    if !set.tolerance().lets_come_late(migration.version) {
                        return Err(Refusal::OutOfOrder { version: migration.version, latest });
                    }
                    notes.push(format!(
                        "version {} comes late: {latest} is applied already (out_of_order in rehearsal.toml lets it)",
                        migration.version
                    ));
                }
                files.push(planned(migration, Direction::Up, None, &mut notes)?);
            }
        }
    }
    Plan::checked(set, files, notes)
}

/// The file of a version that is to be recorded as applied; nothing when it is. One that stopped half-way is
/// recorded as well, whoever began it.
///
/// # Errors
/// As [`up`]; [`Refusal::OlderPending`] when it is not the next one.
pub fn mark(set: &MigrationSet, history: &History, version: i64) -> Result<Option<PlannedFile>, Refusal> {
    let mut files = match up(set, history, Some(version)) {
        Ok(plan) => plan.files,
        Err(Refusal::Dirty { version: dirty }) if dirty == version => {
            let pending =
                |migration: &&Migration| migration.version <= version && !history.is_applied(migration.version);
            let planned =
                set.iter().filter(pending).map(|migration| planned(migration, Direction::Up, None, &mut Vec::new()));
            let mut files = planned.collect::<Result<Vec<_>, _>>()?;
            // Its row is there.
            files.iter_mut().filter(|file| file.version == version).for_each(|file| file.resumes = true);
            files
        }
        Err(refusal) => return Err(refusal),
    };
    match files.as_slice() {
        [] => Ok(None),
        [first, ..] if first.version < version => Err(Refusal::OlderPending { version, older: first.version }),
        _ => Ok(files.pop()),
    }
}

/// The versions that a way back takes away, newest first, whichever way it is.
///
/// # Errors
/// [`Refusal::TooManySteps`], [`Refusal::UnknownVersion`].
pub fn undone(set: &MigrationSet, history: &History, back: &Back) -> Result<Vec<i64>, Refusal> {
    let applied = history.in_order(|version| set.tolerance().lets_come_late(version));
    let newest_first = applied.iter().rev().copied();
    Ok(match back {
        Back::Steps(steps) if *steps > applied.len() => {
            return Err(Refusal::TooManySteps { applied: applied.len(), asked: *steps });
        }
        Back::Steps(steps) => newest_first.take(*steps).collect(),
        Back::To(version) if *version != 0 && !applied.contains(version) => {
            return Err(Refusal::UnknownVersion { version: *version, place: "among the applied ones" });
        }
        Back::To(version) => newest_first.filter(|v| v > version).collect(),
        Back::Keep(kept) => newest_first.filter(|version| !kept.contains(version)).collect(),
    })
}

/// The down files of the versions to undo, newest first.
///
/// # Errors
/// A [`Refusal`] when files and history disagree, or when one of them has no down file: it is
/// refused whole, before the first is undone.
pub fn down(set: &MigrationSet, history: &History, back: Back) -> Result<Plan, Refusal> {
    let mut notes = Vec::new();
    validate(set, history, &mut notes)?;
    let mut unfinished = None;
    if let Some(row) = history.unfinished() {
        let version = row.version;
        match history.journalled().map(|unfinished| unfinished.direction) {
            // A migration that stopped half-way can be finished, or undone from where it stands only
            // by hand: its down file expects all of its up file.
            Some(Direction::Up) => return Err(Refusal::MigrationUnfinished { version }),
            Some(Direction::Down) => unfinished = Some(version),
            None => return Err(Refusal::Dirty { version }),
        }
    }
    let undone = undone(set, history, &back)?;
    if let Some(version) = unfinished.filter(|version| !undone.contains(version)) {
        return Err(Refusal::RollbackUnfinished { version });
    }
    let mut files = Vec::new();
    for version in undone {
        // One that is gone for good may be passed over on the way there, and not on the way back.
        let migration = set.get(version).ok_or(Refusal::NothingToUndoWith { version })?;
        let unfinished = history.journalled().filter(|_| unfinished == Some(version));
        files.push(planned(migration, Direction::Down, unfinished, &mut notes)?);
    }
    Plan::checked(set, files, notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(versions: &[i64]) -> MigrationSet {
        let folder = tempfile::tempdir().expect("temporary folder");
        for version in versions {
            std::fs::write(folder.path().join(format!("{version}_m.up.sql")), format!("select {version};"))
                .expect("written");
            std::fs::write(folder.path().join(format!("{version}_m.down.sql")), "select 1;").expect("written");
        }
        MigrationSet::from_folder(folder.path()).expect("reads")
    }

    fn history(set: &MigrationSet, versions: &[i64]) -> History {
        History::for_tests(versions.iter().map(|&version| Applied {
            version,
            description: "m".into(),
            success: true,
            checksum: set.get(version).map_or_else(Vec::new, |m| m.up.checksum.clone()),
        }))
    }

    #[test]
    fn an_older_pending_version_is_refused() {
        let set = set(&[1, 2, 3]);
        let error = up(&set, &history(&set, &[1, 3]), None).expect_err("refused");
        assert!(matches!(error, Refusal::OutOfOrder { version: 2, latest: 3 }), "{error}");
    }

    #[test]
    fn an_applied_version_without_a_file_is_refused() {
        let set = set(&[1]);
        let error = up(&set, &history(&set, &[1, 9]), None).expect_err("refused");
        assert!(matches!(error, Refusal::MissingFile { version: 9, .. }), "{error}");
    }

    proptest! {
        /// Up and then down by as many steps plans the same files, in the opposite order.
        #[test]
        fn down_undoes_what_up_did(total in 1usize..12, applied in 0usize..12) {
            let applied = applied.min(total);
            let versions: Vec<i64> = (1..=i64::try_from(total).expect("small")).collect();
            let set = set(&versions);
            let there = up(&set, &history(&set, &versions[..applied]), None).expect("planned");
            let back = down(&set, &history(&set, &versions), Back::Steps(total - applied)).expect("planned");
            let mut there: Vec<i64> = there.files().iter().map(|file| file.version).collect();
            there.reverse();
            let back: Vec<i64> = back.files().iter().map(|file| file.version).collect();
            prop_assert_eq!(there, back);
        }
    }
}
