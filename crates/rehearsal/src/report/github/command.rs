//! Workflow commands: lines that GitHub's runner reads out of what a program writes, on stdout and stderr alike.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::event::FilePlace;

/// How much an annotation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// It failed.
    Error,
    /// Look at this.
    Warning,
}

/// A mark in a pull request and on a run's page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// How much it matters.
    pub level: Level,
    /// File and line; the run as a whole without it.
    pub place: Option<(PathBuf, usize)>,
    /// A few words.
    pub title: String,
    /// What there is to say.
    pub message: String,
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "::{level} ")?;
        if let Some((path, line)) = &self.place {
            write!(f, "file={},line={line},", property(&path.to_string_lossy()))?;
        }
        write!(f, "title={}::{}", property(&self.title), data(&self.message))
    }
}

/// Has the runner write stars where this text would stand in a log; nothing where there is no text to hide.
#[must_use]
pub fn mask(secret: &str) -> Option<String> {
    (!secret.trim().is_empty()).then(|| format!("::add-mask::{}", data(secret)))
}

/// A place as GitHub knows it: from the repository's root, which is `above` the workspace's.
#[must_use]
pub fn placed(place: &FilePlace, above: &Path) -> (PathBuf, usize) {
    let path = above.join(&place.path);
    let normal = |part: &Component<'_>| !matches!(part, Component::CurDir);
    (path.components().filter(normal).collect(), place.line)
}

/// What stands behind the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// What stands behind a `=`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_it() {
        let annotation = Annotation {
            level: Level::Error,
            place: Some(("a,b:c%.sql".into(), 7)),
            title: "x::y,line=1".into(),
            message: "100 %\r\n::add-mask::1, 2: 3".into(),
        };
        assert_eq!(
            annotation.to_string(),
            "::error file=a%2Cb%3Ac%25.sql,line=7,title=x%3A%3Ay%2Cline=1::100 %25%0D%0A::add-mask::1, 2: 3"
        );
        let whole = Annotation { level: Level::Warning, place: None, ..annotation };
        assert!(whole.to_string().starts_with("::warning title=x"), "{whole}");
    }

    #[test]
    fn an_empty_password_masks_nothing() {
        assert_eq!(mask(" "), None);
        assert_eq!(mask("a%b\nc").as_deref(), Some("::add-mask::a%25b%0Ac"));
    }

    #[test]
    fn a_workspace_below_the_repository_is_named_with_its_folder() {
        let place = FilePlace { path: "./migrations/1_a.up.sql".into(), line: 3 };
        assert_eq!(placed(&place, Path::new("")), ("migrations/1_a.up.sql".into(), 3));
        assert_eq!(placed(&place, Path::new("services/shop")), ("services/shop/migrations/1_a.up.sql".into(), 3));
    }
}
