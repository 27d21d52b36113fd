//! Why a backup does not take a database's place.

use crate::error::Kind;

/// See the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A database cannot be called that.
    #[error("`{name}` cannot be the new database's name")]
    Name {
        /// What was asked for.
        name: String,
    },
    /// The role may not make databases.
    #[error("role {role} may not create databases")]
    MayNotCreate {
        /// The role.
        role: String,
    },
    /// The role may not rename the database that is to give way.
    #[error("database {database} belongs to {owner}: role {role} may not rename it")]
    MayNotRename {
        /// The database.
        database: String,
        /// Its owner.
        owner: String,
        /// The role.
        role: String,
    },
    /// Something in the database keeps it from being renamed.
    #[error("database {database} cannot be renamed: it has {}", what.join(", "))]
    Bound {
        /// The database.
        database: String,
        /// What it has.
        what: Vec<String>,
    },
    /// Its clients did not leave.
    #[error("database {database} is still in use after {seconds} s, by {by}")]
    StillUsed {
        /// The database.
        database: String,
        /// How long it was tried.
        seconds: u64,
        /// Who is in it.
        by: String,
    },
    /// The role may not give the new database what the old one has.
    #[error("cannot give the restored database what {database} has ({statement}): {reason}")]
    HandOver {
        /// The old one.
        database: String,
        /// What was tried.
        statement: String,
        /// The server's words.
        reason: String,
    },
    /// There is no database to take the place of.
    #[error("there is no database `{database}` whose place a backup could take")]
    NothingToReplace {
        /// Its name.
        database: String,
    },
    /// A database of the server's own.
    #[error("`{name}` is a template or the server's own database, and nothing is restored into it")]
    OfTheServer {
        /// Its name.
        name: String,
    },
    /// All backups there are of other databases, which the target's name led to at other times or elsewhere.
    #[error("no backup of `{target}` is of the database that it leads to now: the newest, {newest}, is of {of}")]
    OfAnother {
        /// The target.
        target: String,
        /// The newest backup.
        newest: String,
        /// Where that was made.
        of: String,
    },
    /// The backup has no such tables.
    #[error("the backup has no table that is called {}", tables.join(", "))]
    NotInBackup {
        /// What was asked for.
        tables: Vec<String>,
    },
    /// There is a better way than to replace what the database holds.
    #[error("database {database} can be swapped: its contents are not replaced in place")]
    MayBeSwapped {
        /// The database.
        database: String,
    },
    /// Clients are in the database whose contents are to be replaced.
    #[error("database {database} is in use, by {}", crate::report::format::plural(*clients, "client"))]
    InUse {
        /// The database.
        database: String,
        /// How many.
        clients: u64,
    },
    /// Something of it cannot be replaced in a transaction of ours.
    #[error("the contents of database {database} cannot be replaced in place: {what}")]
    NotInPlace {
        /// The database.
        database: String,
        /// Why.
        what: String,
    },
    /// Somebody has written since the copy was made.
    #[error("{database} is no longer what its backup of a moment ago holds: {}", differences.join("; "))]
    WrittenMeanwhile {
        /// The database.
        database: String,
        /// One phrase each.
        differences: Vec<String>,
    },
    /// No backup leads to where the rollback is to end.
    #[error("no backup of `{target}` is of version {version}{}", newest.as_ref().map_or_else(String::new, |newest| format!(": the newest is {newest}")))]
    NoBackupOf {
        /// The target.
        target: String,
        /// The version that is to be the newest.
        version: i64,
        /// The newest backup, and its version.
        newest: Option<String>,
    },
}

impl RestoreError {
    /// How a run that meets it ends.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Name { .. } | Self::OfTheServer { .. } | Self::NothingToReplace { .. } | Self::NotInBackup { .. } => {
                Kind::Usage
            }
            Self::StillUsed { .. } | Self::InUse { .. } | Self::WrittenMeanwhile { .. } => Kind::Busy,
            Self::MayNotCreate { .. }
            | Self::MayNotRename { .. }
            | Self::Bound { .. }
            | Self::HandOver { .. }
            | Self::OfAnother { .. }
            | Self::MayBeSwapped { .. }
            | Self::NotInPlace { .. }
            | Self::NoBackupOf { .. } => Kind::Refused,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Name { .. } => {
                "a name has 1 to 63 bytes, and does not end in `.unproven`, which is what a restore calls its own until they are proven".into()
            }
            Self::MayNotCreate { role } => format!(
                "have somebody run `ALTER ROLE {role} CREATEDB`, connect as a role that may, or have an empty database made and name it with --into"
            ),
            Self::MayNotRename { owner, .. } => {
                format!("connect as {owner} or a member of it that may create databases; or restore beside it, without --swap")
            }
            Self::Bound { .. } => {
                "commit or roll back what is prepared, drop what is bound to the database, then run the same command again".into()
            }
            Self::StillUsed { .. } => {
                "nothing was changed and the restored copy was removed: end those sessions, then run the same command again".into()
            }
            Self::HandOver { .. } => "connect as a role that may do that (a superuser may), or restore beside it, without --swap".into(),
            Self::NothingToReplace { .. } => "leave --swap out: the restored database then gets the name that --into says".into(),
            Self::OfTheServer { .. } => "name a database of its own with --into".into(),
            Self::OfAnother { .. } => {
                "look where the target's URL leads; if that is meant, say which backup: `cargo xtask restore BACKUP`".into()
            }
            Self::NotInBackup { .. } => {
                "nothing was made; `cargo xtask db-backup show BACKUP` lists its tables: name them with their schema or without, `*` stands for anything".into()
            }
            Self::MayBeSwapped { .. } => {
                "say --swap instead of --clean: the backup is restored beside, compared, and takes the name; what was there stays".into()
            }
            Self::InUse { .. } => {
                "nothing was changed: stop whoever uses it (the service, its workers), then run the same command again".into()
            }
            Self::NotInPlace { .. } => {
                "have somebody who may create databases restore it beside (`cargo xtask restore`) or in its place (--swap)".into()
            }
            Self::WrittenMeanwhile { .. } => {
                "nothing was changed: stop whoever writes, then run the same command again".into()
            }
            Self::NoBackupOf { .. } => {
                "choose another way (--way down, --way forward), or restore a backup of another version knowingly: `cargo xtask restore BACKUP --swap`".into()
            }
        }
    }
}
