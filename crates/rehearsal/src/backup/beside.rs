//! A database beside others that is filled, and gets the name that people know only once it is proven.
//!
//! Until then its own name says what it is, as `.partial` does of a folder. Who fills it holds a lock in it, which
//! the server gives back when that process is gone: without one, the next restore removes it.

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::choice;
use super::failure::BackupError;
use super::refusal::RestoreError;
use crate::error::Result;
use crate::postgres::databases::{self, Described};
use crate::postgres::identifier::{literal, quote};
use crate::postgres::locks::Lock;
use crate::postgres::query::{Stopped, server_words, sqlstate};
use crate::postgres::session::Session;
use crate::report::format;
use crate::target::Target;

/// Ends the name of a database that is not proven yet.
pub const SUFFIX: &str = ".unproven";

/// The comment of such a database: its name alone might be anybody's.
const MARK: &str = "rehearsal: a restore fills it, or was killed while it did";

/// PostgreSQL cuts longer names off without an error (NAMEDATALEN - 1), and two of them may become one.
const LONGEST_NAME: usize = 63;

/// A name for a database beside `database`, which says what it is and since when. As much of the old name is
/// kept as there is room for.
#[must_use]
pub fn name(database: &str, word: &str) -> String {
    cut(database, &format!("_{word}_{}", crate::run::timestamp().to_lowercase()))
}

fn cut(database: &str, end: &str) -> String {
    let mut kept = LONGEST_NAME.saturating_sub(end.len()).min(database.len());
    while !database.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}{end}", &database[..kept])
}

/// What initdb makes. Whatever is in template1 is in every new database from then on, and tools of others go to postgres.
const OF_THE_SERVER: &[&str] = &["postgres", "template0", "template1"];

/// Refuses a name that would not be the database's, and those of the server's own databases.
///
/// # Errors
/// [`RestoreError::Name`], [`RestoreError::OfTheServer`].
pub fn usable(name: &str) -> Result<()> {
    if OF_THE_SERVER.contains(&name) {
        return Err(RestoreError::OfTheServer { name: name.into() }.into());
    }
    if name.is_empty() || name.len() > LONGEST_NAME || name.ends_with(SUFFIX) {
        return Err(RestoreError::Name { name: name.into() }.into());
    }
    Ok(())
}

/// What a restore that was killed had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// The database.
    pub name: String,
    /// Why it is there still, if it is.
    pub stays: Option<String>,
}

/// See the module.
pub struct Beside {
    /// A session on the same server, in another database.
    pub outside: Session,
    /// The database.
    pub database: Target,
    /// Holds the lock.
    holder: Session,
}

impl Beside {
    /// Makes an empty one, in the manner of another one if there is one to follow. What runs that were killed left
    /// goes first: gives what was done about it as well.
    ///
    /// # Errors
    /// The server's.
    pub async fn create(
        mut outside: Session,
        target: &Target,
        encoding: &str,
        like: Option<&Described>,
        cancel: &CancellationToken,
    ) -> Result<(Self, Vec<Swept>)> {
        // A database that has just been made and has no lock yet must not be taken for one that was left.
        Lock::Beside.acquire(&mut outside, crate::postgres::locks::LOCK_PATIENCE, drop).await?;
        let swept = sweep(&mut outside, target.database()).await?;
        let end = format!("_{}{SUFFIX}", crate::run::timestamp().to_lowercase());
        let database = target.with_database(&cut(target.database(), &end));
        let made = fill_in(&mut outside, &database, encoding, like, cancel).await;
        match made {
            Ok(holder) => {
                Lock::Beside.release(&mut outside).await?;
                Ok((Self { outside, database, holder }, swept))
            }
            Err(error) => {
                // The first error is the one to tell; what stays is swept by the next restore.
                let _ = discard(target, database.database()).await;
                Err(error)
            }
        }
    }

    /// Gives it its name, and leaves it to others.
    ///
    /// # Errors
    /// [`BackupError::Occupied`] when somebody has taken the name meanwhile.
    pub async fn finish(self, name: &str) -> Result<()> {
        let (mut outside, database) = self.let_go().await?;
        let sql = format!(
            "COMMENT ON DATABASE {0} IS NULL; ALTER DATABASE {0} RENAME TO {1}",
            quote(database.database()),
            quote(name)
        );
        let renamed = outside.execute(&sql).await;
        outside.close().await;
        match renamed {
            Ok(_) => Ok(()),
            Err(stopped) => {
                let _ = discard(&database, database.database()).await;
                Err(match stopped {
                    Stopped::Failed(error) if sqlstate(&error).as_deref() == Some("42P04") => {
                        BackupError::Occupied { database: name.into() }.into()
                    }
                    stopped => Stopped::doing(format!("name the new database {name}"))(stopped),
                })
            }
        }
    }

    /// Ends the session in it, so that it can be renamed. From here on only its name and comment tell that it is ours;
    /// until the session that is given is closed, nobody takes it for one that was left.
    ///
    /// # Errors
    /// [`crate::postgres::BusyError`] while somebody else makes a database, or another one changes its name.
    pub async fn let_go(self) -> Result<(Session, Target)> {
        let Self { mut outside, database, holder } = self;
        let locked = Lock::Beside.acquire(&mut outside, crate::postgres::locks::LOCK_PATIENCE, drop).await;
        holder.close().await;
        if let Err(error) = locked {
            outside.close().await;
            // The first error is the one to tell; what stays is swept by the next restore.
            let _ = discard(&database, database.database()).await;
            return Err(error);
        }
        Ok((outside, database))
    }

    /// Removes it.
    ///
    /// # Errors
    /// The server's; the next restore tries again.
    pub async fn discard(self) -> Result<()> {
        let Self { outside, database, holder } = self;
        holder.close().await;
        outside.close().await;
        discard(&database, database.database()).await
    }
}

/// Removes a database of ours, also when the run was interrupted.
///
/// # Errors
/// The server's.
pub async fn discard(target: &Target, name: &str) -> Result<()> {
    let mut session = databases::connect_beside(target, "restore", &CancellationToken::new()).await?;
    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name));
    session.execute(&sql).await.map_err(Stopped::doing(format!("drop the unfinished database {name}")))?;
    session.close().await;
    Ok(())
}

async fn fill_in(
    outside: &mut Session,
    database: &Target,
    encoding: &str,
    like: Option<&Described>,
    cancel: &CancellationToken,
) -> Result<Session> {
    let name = database.database();
    // Another encoding may not go with the collation.
    let made_with = like.filter(|like| like.encoding == encoding).map_or("", |like| like.made_with.as_str());
    // Shut, until its comment says what it is: nobody can have put anything into it before.
    let create = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} {made_with} ALLOW_CONNECTIONS false",
        quote(name),
        literal(encoding)
    );
    outside.execute("SET statement_timeout = 0").await.map_err(Stopped::doing("prepare a database"))?;
    match outside.execute(&create).await {
        Ok(_) => {}
        Err(Stopped::Failed(error)) if sqlstate(&error).as_deref() == Some("42501") => {
            let role = outside.target().user().to_owned();
            return Err(RestoreError::MayNotCreate { role }.into());
        }
        Err(stopped) => return Err(Stopped::doing(format!("create database {name}"))(stopped)),
    }
    let open = format!(
        "COMMENT ON DATABASE {0} IS {1}; ALTER DATABASE {0} ALLOW_CONNECTIONS true",
        quote(name),
        literal(MARK)
    );
    outside.execute(&open).await.map_err(Stopped::doing(format!("open database {name}")))?;
    let mut holder = Session::connect(database, "restore", cancel).await?;
    databases::stay(&mut holder).await?;
    Lock::Run.acquire(&mut holder, crate::postgres::locks::LOCK_PATIENCE, drop).await?;
    Ok(holder)
}

/// What restores of this database have left and nobody fills any more: by its name and its comment, or shut since it
/// was made, so that nothing can be in it. One that does not go, as with a subscription in it, is in nobody's way.
async fn sweep(outside: &mut Session, database: &str) -> Result<Vec<Swept>> {
    let query = sqlx::query(
        "SELECT d.datname::text FROM pg_database d WHERE right(d.datname, length($1)) = $1 \
           AND (shobj_description(d.oid, 'pg_database') = $2 OR NOT d.datallowconn) \
           AND pg_has_role(d.datdba, 'USAGE') \
           AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.database = d.oid) \
         ORDER BY 1",
    );
    let rows = outside.fetch_bound(query.bind(SUFFIX).bind(MARK)).await;
    let rows = rows.map_err(Stopped::doing("look for what a killed restore left"))?;
    let names = rows.iter().map(|row| row.get::<String, _>(0));
    // Those of other databases on this server are their owners' to look at first.
    let names: Vec<String> = names.filter(|name| of_database(database, name).is_some()).collect();
    let mut swept = Vec::new();
    for name in names {
        // pg_restore outlives who is killed, for a while.
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(&name));
        let stays = match outside.execute(&sql).await {
            Ok(_) => None,
            Err(Stopped::Failed(error)) if sqlstate(&error).is_some() => Some(server_words(&error)),
            Err(stopped) => return Err(Stopped::doing(format!("drop {name}, which a killed restore left"))(stopped)),
        };
        swept.push(Swept { name, stays });
    }
    Ok(swept)
}

/// Says of a database that a swap has put it aside.
pub const BEFORE: &str = "before";

/// A database of ours beside another one.
#[derive(Debug, Clone)]
pub struct LeftOver {
    name: String,
    since: DateTime<Utc>,
    bytes: Option<u64>,
    what: Left,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// A restore fills it.
    Filled,
    /// A restore was killed while it did.
    Unproven,
    /// A swap has put it aside.
    Before,
}

impl LeftOver {
    /// For people, with what to do about it.
    #[must_use]
    pub fn words(&self, target: &str) -> String {
        let Self { name, since, bytes, what } = self;
        let size = bytes.map_or_else(|| "of unknown size".into(), format::bytes);
        let (is, next) = match what {
            Left::Filled => ("a restore fills it".to_owned(), String::new()),
            Left::Unproven => (
                "a restore that was killed has left it".into(),
                format!("; the next `cargo xtask restore --target {target}` removes it"),
            ),
            Left::Before => (
                "what a restore has put aside".into(),
                format!("; when nobody needs it any more: `DROP DATABASE {}`", quote(name)),
            ),
        };
        format!("{name}  {} old, {size}: {is}{next}", choice::age_since(*since))
    }
}

/// Whether a name is one that restores give to what they put beside a database: since when, and whether it is not
/// proven yet. Where names had to be cut, it may be that of several databases.
fn of_database(database: &str, name: &str) -> Option<(DateTime<Utc>, bool)> {
    let (stem, is_unproven) = name.strip_suffix(SUFFIX).map_or((name, false), |stem| (stem, true));
    let (_, time) = stem.rsplit_once('_')?;
    let since = NaiveDateTime::parse_from_str(time, "%Y%m%dt%H%M%S%3fz").ok()?.and_utc();
    let end = if is_unproven { format!("_{time}{SUFFIX}") } else { format!("_{BEFORE}_{time}") };
    (name == cut(database, &end)).then_some((since, is_unproven))
}

/// Which databases may be ours, how large they are where we may know, and whether somebody fills them.
const LEFT: &str = "\
    SELECT d.datname, CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') \
                           THEN pg_database_size(d.oid) END, \
           EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.database = d.oid) \
    FROM pg_database d WHERE d.datname ~ '_(before_)?[0-9]{8}t[0-9]{9}z(\\.unproven)?$' ORDER BY 1";

/// What restores have left beside the session's database, by name.
///
/// # Errors
/// The server's.
pub async fn left_overs(session: &mut Session) -> Result<Vec<LeftOver>> {
    let rows =
        session.fetch_text(LEFT, usize::MAX).await.map_err(Stopped::doing("look for what restores have left"))?;
    let database = session.target().database();
    let ours = rows.rows.into_iter().filter_map(|row| {
        let mut values = row.into_iter();
        let (name, bytes, held) = (values.next()??, values.next()?, values.next()?? == "t");
        let (since, is_unproven) = of_database(database, &name)?;
        let what = match (is_unproven, held) {
            (true, true) => Left::Filled,
            (true, false) => Left::Unproven,
            (false, _) => Left::Before,
        };
        Some(LeftOver { bytes: bytes.and_then(|bytes| bytes.parse().ok()), name, since, what })
    });
    Ok(ours.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No two databases become one because their names were cut, and none is cut by the server.
        #[test]
        fn names_fit(database in "\\PC{1,80}") {
            let name = name(&database, "before");
            prop_assert!(name.len() <= LONGEST_NAME, "{name}");
            let kept = name.split("_before_").next().unwrap_or_default();
            prop_assert!(database.starts_with(kept) || database.contains("_before_"));
            prop_assert!(usable(&name).is_ok());
        }
    }
}
