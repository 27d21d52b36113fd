//! What a linter (squawk) finds in a file. `-- squawk-ignore RULE` above a statement silences it there.

use serde::Serialize;
use squawk_linter::Linter;

use super::lint_rules::LintConfig;
use crate::postgres::version::Version;
use crate::statement::{Mode, Parsed};
use crate::written_rows;

/// Something that the linter does not like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The linter's name for the rule.
    pub rule: String,
    /// Its first byte in the file.
    #[serde(skip)]
    pub offset: usize,
    /// Its line in the file, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
    /// What to do instead.
    pub help: Option<String>,
}

/// Larger files are rows of a table rather than changes of a schema, and a tree of them takes twenty times
/// their size in memory.
const MOST_BYTES: usize = 4 << 20;

/// Whether the linter can say something about a file: the parser understands it, and it is not too large.
#[must_use]
pub fn is_for(file: &Parsed) -> bool {
    file.unparsed.is_none() && file.text.len() <= MOST_BYTES
}

/// Looks at a file. `keeps_code_working`: the code of the release before has to go on working with what it
/// makes. What is not [for it](is_for) is not judged.
#[must_use]
pub fn findings(file: &Parsed, config: &LintConfig, server: Version, keeps_code_working: bool) -> Vec<Finding> {
    if !is_for(file) {
        return Vec::new();
    }
    let mut linter = Linter::from(config.rules(keeps_code_working));
    // The linter's own default stays where it does not read the number.
    linter.settings.pg_version = server.to_string().parse().unwrap_or_default();
    linter.settings.assume_in_transaction = file.mode == Mode::OneTransaction;
    let violations = linter.lint(&written_rows::parse(&file.text), &file.text);
    violations
        .into_iter()
        .map(|violation| {
            let offset = usize::from(violation.text_range.start());
            Finding {
                rule: violation.code.to_string(),
                offset,
                line: file.position(offset).0,
                message: one_line(&violation.message),
                help: violation.help.as_deref().map(one_line),
            }
        })
        .collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
