//! What the fields of a body may hold. All problems of a body are told at once.

use crate::error::{ApiError, FieldProblem};

/// Long enough for every real name and title, short enough for a page.
const NAME_CHARACTERS: usize = 200;

/// About twenty printed pages: what people write by hand fits, what fills disks does not.
const PROSE_CHARACTERS: usize = 50_000;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub struct Fields {
    problems: Vec<FieldProblem>,
}

impl Fields {
    /// Notes the problem unless `holds`.
    pub fn require(&mut self, holds: bool, field: &'static str, message: &'static str) {
        if !holds {
            self.problems.push(FieldProblem { field, message });
        }
    }

    /// One line that must say something: a title, a name.
    pub fn line(&mut self, field: &'static str, text: &str) {
        let holds = !text.trim().is_empty() && is_short_line(text);
        self.require(holds, field, "must be 1 to 200 characters, none of them a control character");
    }

    /// One line that may be left out or empty.
    pub fn optional_line(&mut self, field: &'static str, text: Option<&str>) {
        let holds = text.is_none_or(is_short_line);
        self.require(holds, field, "must be at most 200 characters, none of them a control character");
    }

    /// Several lines that must say something.
    pub fn prose(&mut self, field: &'static str, text: &str) {
        self.require(!text.trim().is_empty(), field, "must not be empty");
        self.optional_prose(field, Some(text));
    }

    /// Several lines that may be left out or empty.
    pub fn optional_prose(&mut self, field: &'static str, text: Option<&str>) {
        let holds = text.is_none_or(|text| text.chars().count() <= PROSE_CHARACTERS);
        self.require(holds, field, "must be at most 50,000 characters");
    }

    /// The verdict.
    pub fn check(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.problems)) }
    }
}

fn is_short_line(text: &str) -> bool {
    text.chars().count() <= NAME_CHARACTERS && !text.chars().any(char::is_control)
}
