//! Whether a program that was built has every migration embedded, as it stands in the folder.

use std::io::ErrorKind;
use std::path::Path;

use memchr::memmem;

use super::finding::{Area, Finding};
use crate::error::Kind;
use crate::report::format::{path, plural};
use crate::source::{Migration, MigrationSet};

/// How many versions are named.
const NAMED: usize = 10;

/// Which program is looked at, and what it is to us.
#[derive(Debug, Clone, Copy)]
pub struct Artefact<'a> {
    /// The program.
    pub program: &'a Path,
    /// What makes it, where that is known.
    pub build: Option<&'a str>,
    /// The user says that this is what ships.
    pub ships: bool,
}

/// Looks for the text of every migration in a program: `sqlx::migrate!` embeds the files as they are. Blocks while
/// all of it is read.
#[must_use]
pub fn look(artefact: Artefact<'_>, migrations: &MigrationSet) -> Finding {
    let Artefact { program, build, ships } = artefact;
    let shown = path(program);
    let remedy = build.map_or_else(|| "build it again".to_owned(), |build| format!("build it: {build}"));
    // What somebody names must be there; what [app] would build need not have been built yet.
    let trouble = |kind: Kind, what: String| match ships {
        true => Finding::problem(Area::Artefact, kind, what, &remedy),
        false => Finding::warning(Area::Artefact, what, &remedy),
    };
    let bytes = match std::fs::read(program) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return trouble(Kind::Usage, format!("{shown} is not there: it is not known which migrations it has"));
        }
        Err(error) => return trouble(Kind::Usage, format!("cannot read {shown}: {error}")),
    };
    let has = |text: &str| text.trim().is_empty() || memmem::find(&bytes, text.as_bytes()).is_some();
    let lacks =
        |migration: &&Migration| !has(&migration.up.sql) || migration.down.as_ref().is_some_and(|down| !has(&down.sql));
    let all = migrations.iter().count();
    let missing: Vec<String> = migrations.iter().filter(lacks).map(|migration| migration.version.to_string()).collect();
    match missing.len() {
        0 => Finding::ok(
            Area::Artefact,
            format!("{shown} has all {} as they are in the folder", plural(all as u64, "migration")),
        ),
        none if none == all => Finding::warning(
            Area::Artefact,
            format!("{shown} has none of the {} embedded", plural(all as u64, "migration")),
            "if it reads them from a folder, see that the folder ships with it; if it embeds them, it is not what was built here",
        ),
        some => {
            let named = missing.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if some > NAMED { format!(" and {} more", some - NAMED) } else { String::new() };
            trouble(
                Kind::Refused,
                format!("{shown} lacks {}, as the folder has it now: {named}{more}", plural(some as u64, "migration")),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn what_is_missing_or_was_edited_since_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, sql) in [("1_a.up.sql", "select 1;\n"), ("1_a.down.sql", "select -1;\n"), ("2_b.sql", "select 2;\n")]
        {
            std::fs::write(folder.path().join(name), sql).expect("written");
        }
        let migrations = MigrationSet::from_folder(folder.path()).expect("they are read");
        let program = folder.path().join("program");
        let look = |text: &str, ships| {
            std::fs::write(&program, text).expect("written");
            look(Artefact { program: &program, build: Some("make"), ships }, &migrations)
        };
        let all = "\0select 1;\n\0select -1;\n\0select 2;\n\0";
        assert_eq!(look(all, true).level, Level::Ok);
        let lacking = look(&all.replace("select -1", "select -2"), true);
        assert_eq!(lacking.level, Level::Problem);
        assert!(lacking.what.contains("lacks 1 migration, as the folder has it now: 1"), "{lacking:?}");
        assert_eq!(look(&all.replace("select 2", ""), false).level, Level::Warning);
        assert!(look("nothing", true).what.contains("has none of the 2 migrations"));
    }
}
