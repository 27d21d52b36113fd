//! CREATE and DROP INDEX CONCURRENTLY. Both take several transactions, so that a stop leaves an INVALID
//! index; and one that is there already has to be told from the one that is meant.

use super::file::Applier;
use crate::postgres::indexes::{self, Index};
use crate::postgres::query::{Stopped, sqlstate};
use crate::statement::{IndexBuild, Statement};

/// Why an index was not built.
pub(super) struct Trouble {
    pub stopped: Stopped,
    /// What to do about it, when more is known than the server says.
    pub advice: Option<String>,
}

impl From<Stopped> for Trouble {
    fn from(stopped: Stopped) -> Self {
        Self { stopped, advice: None }
    }
}

impl Trouble {
    fn unexpected(what: String, advice: &str) -> Self {
        Self { stopped: Stopped::Unexpected(what), advice: Some(advice.to_owned()) }
    }
}

pub(super) async fn create(
    applier: &mut Applier<'_>,
    statement: &Statement,
    build: &IndexBuild,
    begun: bool,
) -> Result<u64, Trouble> {
    let Some(name) = &build.name else { return create_unnamed(applier, statement, build, begun).await };
    if let Some((index, of_table)) = indexes::beside(applier.session, name, &build.table).await? {
        if is_there(applier, build, &index, of_table, begun).await? {
            return Ok(0);
        }
        drop_invalid(applier, &index).await?;
    }
    let built = applier.session.execute(&statement.sql).await;
    let there = match built {
        Ok(done) => match indexes::beside(applier.session, name, &build.table).await? {
            Some((index, true)) if index.valid => return Ok(done.rows_affected()),
            _ => None,
        },
        Err(stopped) if blames_rows(&stopped) => {
            let left = indexes::beside(applier.session, name, &build.table).await?;
            let advice = give_up(applier, left.map(|(index, _)| index)).await?;
            return Err(Trouble { stopped, advice });
        }
        Err(stopped) => Some(stopped),
    };
    let what = || format!("the statement ended without an error, but {name} is not a valid index of {}", build.table);
    Err(there.unwrap_or_else(|| Stopped::Unexpected(what())).into())
}

/// Whether a valid index of that name is the one that is meant. Another one is refused: `IF NOT EXISTS`
/// would pass over it with success.
async fn is_there(
    applier: &mut Applier<'_>,
    build: &IndexBuild,
    index: &Index,
    of_table: bool,
    begun: bool,
) -> Result<bool, Trouble> {
    if let Some(pid) = index.builder {
        return Err(Trouble::unexpected(
            format!("index {} is being built at this moment by pid {pid}", index.name),
            "wait until that has ended",
        ));
    }
    if !index.valid && !of_table {
        return Err(Trouble::unexpected(
            format!("an INVALID index {} of another table is there already: `{}`", index.name, index.definition),
            "give this one another name, or drop the other one if nobody needs it",
        ));
    }
    if !index.valid {
        return Ok(false);
    }
    let meant = indexes::would_be(applier.session, &build.table, build.unique, &build.definition).await?;
    match meant {
        Some(meant) if of_table && meant == index.kind => {
            applier.events.info(format!("index {} is there already as it is meant; taken as done", index.name));
            Ok(true)
        }
        Some(meant) => Err(Trouble::unexpected(
            format!(
                "another index {} is there already: `{}`; this one would be on {}: {meant}",
                index.name, index.definition, build.table
            ),
            "give this one another name, or drop the other one if nobody needs it",
        )),
        // A role without the right to make temporary tables: only this statement's own try may have built it.
        None if of_table && begun => {
            applier.events.info(format!("index {} was built before the run stopped", index.name));
            Ok(true)
        }
        // Then the statement says itself what is wrong with it.
        None => Ok(false),
    }
}

/// An index whose name the server chooses can only be found by what it is.
async fn create_unnamed(
    applier: &mut Applier<'_>,
    statement: &Statement,
    build: &IndexBuild,
    begun: bool,
) -> Result<u64, Trouble> {
    let meant = indexes::would_be(applier.session, &build.table, build.unique, &build.definition).await?;
    let alike = match &meant {
        Some(meant) if begun => indexes::of_kind(applier.session, &build.table, meant).await?,
        _ => Vec::new(),
    };
    for index in &alike {
        if index.valid {
            applier.events.info(format!("index {} was built before the run stopped", index.name));
            return Ok(0);
        }
        drop_invalid(applier, index).await?;
    }
    let stopped = match applier.session.execute(&statement.sql).await {
        Ok(done) => return Ok(done.rows_affected()),
        Err(stopped) => stopped,
    };
    let Some(meant) = meant.filter(|_| blames_rows(&stopped)) else { return Err(stopped.into()) };
    let left = indexes::of_kind(applier.session, &build.table, &meant).await?;
    let left = left.into_iter().find(|index| !index.valid && index.builder.is_none());
    let advice = give_up(applier, left).await?;
    Err(Trouble { stopped, advice })
}

async fn drop_invalid(applier: &mut Applier<'_>, index: &Index) -> Result<(), Stopped> {
    if index.valid {
        return Ok(());
    }
    applier
        .events
        .warn(format!("an INVALID index {} was left by an earlier try; dropping it and building it again", index.name));
    applier.session.execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name)).await.map(drop)
}

/// Class 22 and 23: no index of this kind can be built over these rows, however often it is tried.
fn blames_rows(stopped: &Stopped) -> bool {
    let Stopped::Failed(error) = stopped else { return false };
    sqlstate(error).is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// What a build has left goes: every write would go on to keep it up. Before that it tells which rows are
/// in its way.
async fn give_up(applier: &mut Applier<'_>, left: Option<Index>) -> Result<Option<String>, Stopped> {
    let Some(index) = left.filter(|index| !index.valid) else { return Ok(None) };
    let listed = match indexes::duplicates(applier.session, &index.name).await {
        // A table that takes too long to be read is no reason to leave the index where it is.
        Err(Stopped::Failed(error)) if sqlstate(&error).is_some() => None,
        listed => listed?,
    };
    applier.session.execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name)).await?;
    applier.events.info(format!("the INVALID index {} that this left was dropped", index.name));
    Ok(listed)
}

pub(super) async fn remove(
    applier: &mut Applier<'_>,
    statement: &Statement,
    name: &str,
    begun: bool,
) -> Result<u64, Stopped> {
    if begun && indexes::by_name(applier.session, name).await?.is_none() {
        applier.events.info(format!("index {name} is gone already"));
        return Ok(0);
    }
    applier.session.execute(&statement.sql).await.map(|done| done.rows_affected())
}
