//! When what people read has colours.

use rehearsal_tests::Database;

use crate::project;

/// What opens every escape sequence.
const ESCAPE: char = '\u{1b}';

/// Nothing here is a terminal.
#[tokio::test]
async fn the_conventions_are_kept() {
    let database = Database::create().await;
    for (variables, words, expected) in [
        (&[][..], "verify", false),
        (&[("CLICOLOR_FORCE", "1")], "verify", true),
        (&[("CLICOLOR", "1")], "verify", false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], "verify", false),
        (&[("NO_COLOR", "1")], "verify --color always", true),
        (&[("CLICOLOR_FORCE", "1")], "verify --color never", false),
    ] {
        let with = |project: rehearsal_tests::Project, (name, value): &(&str, &str)| project.variable(name, value);
        let project = variables.iter().fold(project().on(&database), with);
        let ended = project.run(words).await;
        ended.must_exit(0);
        assert_eq!(ended.stdout.contains(ESCAPE), expected, "{variables:?} {words}: {}", ended.text());
    }
}
