//! Under GitHub Actions: marks at the lines of files, the summary of the job, and passwords that no log shows.

use rehearsal_tests::{Database, Ended, Project};

use crate::project;

/// A job summary that is larger is not shown at all.
const LARGEST_SUMMARY: u64 = 1 << 20;

fn under_actions(project: Project) -> Project {
    project.variable("GITHUB_ACTIONS", "true").variable("GITHUB_STEP_SUMMARY", "summary.md")
}

/// The workflow commands that it wrote.
fn commands(ended: &Ended) -> Vec<&str> {
    assert!(
        ended.stdout.lines().all(|line| !line.starts_with("::")),
        "stdout belongs to whoever reads it: {}",
        ended.stdout
    );
    ended.stderr.lines().filter(|line| line.starts_with("::")).collect()
}

fn read(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[tokio::test]
async fn a_statement_that_fails_is_marked_at_its_line() {
    let failing = || project().items(10).migration("4_bad", "SELECT 1;\n\nSELECT '100 %, a:b'::int;\n", "SELECT 1;\n");
    let ended = under_actions(failing()).run("rehearse").await;
    ended.must_exit(1);
    let found = commands(&ended);
    let [mark] = found[..] else { panic!("{found:?}") };
    let start = "::error file=migrations/4_bad.up.sql,line=3,title=rehearse failed::migrations/4_bad.up.sql:3:8: ";
    assert!(mark.starts_with(start), "{mark}");
    assert!(mark.contains("\"100 %25, a:b\"") && mark.contains("%0Awhat to do: "), "{mark}");

    let quiet = failing().run("rehearse").await;
    assert!(!quiet.must_exit(1).text().contains("::error"), "{}", quiet.text());
}

#[tokio::test]
async fn a_workspace_below_the_repository_is_marked_where_it_is() {
    let project = under_actions(project().migration("1_bad", "SELECT nonsense;\n", "SELECT 1;\n"));
    let repository = project.folder().parent().expect("a folder").display().to_string();
    let ended = project.variable("GITHUB_WORKSPACE", &repository).run("rehearse").await;
    ended.must_exit(1);
    let found = commands(&ended);
    assert!(found[0].starts_with("::error file=rehearsal-test-"), "{found:?}");
    assert!(found[0].contains("/migrations/1_bad.up.sql,line=1,"), "{found:?}");
}

#[tokio::test]
async fn what_the_linter_checks_and_the_server_say_is_marked() {
    let project = under_actions(project().items(10))
        .migration(
            "4_drop",
            "SELECT 1;\nALTER TABLE items DROP COLUMN name;\nDO $$ BEGIN RAISE WARNING 'half: done'; END $$;\n",
            "ALTER TABLE items ADD COLUMN name text;\n",
        )
        .write(
            "migrations/checks/items.sql",
            "-- check: is-empty\n-- expect: no rows\n-- severity: warn\nSELECT id FROM items WHERE n > 0;\n\n\
             -- check: has-names\n-- expect: rows\n-- since: 4\nSELECT id FROM items WHERE n < 0;\n",
        );
    let ended = project.run("rehearse").await;
    ended.must_exit(3);
    let found = commands(&ended);
    let has = |start: &str| found.iter().filter(|line| line.starts_with(start)).count();
    let lint = "::warning file=migrations/4_drop.up.sql,line=2,title=ban-drop-column::Dropping a column may break";
    assert_eq!(has(lint), 1, "{found:?}");
    assert_eq!(
        has("::warning file=migrations/4_drop.up.sql,line=3,title=the server warns::half: done"),
        1,
        "{found:?}"
    );
    let failed =
        "::warning file=migrations/checks/items.sql,line=1,title=check is-empty failed::expected no rows, found ";
    assert_eq!(has(failed), 1, "{found:?}");
    let failed = "::error file=migrations/checks/items.sql,line=6,title=check has-names failed::expected rows, found ";
    assert_eq!(has(failed), 1, "{found:?}");
    assert!(found.last().is_some_and(|line| line.starts_with("::error title=rehearse refused::")), "{found:?}");
    let findings = ended.record()["steps"][1]["findings"].as_array().cloned().unwrap_or_default();
    let finding = findings.iter().find(|finding| finding["rule"] == "ban-drop-column").expect("it is in the record");
    assert_eq!((&finding["version"], &finding["place"]["line"]), (&4.into(), &2.into()));
    assert!(ended.summary().contains("| `migrations/4_drop.up.sql:2` | ban-drop-column |"), "{}", ended.summary());
}

/// Files that cannot be used are told before any run begins.
#[tokio::test]
async fn what_stops_a_command_before_its_run_is_marked() {
    let project = under_actions(project()).migration("1_a", "SELECT 1;\nCOMMIT;\n", "SELECT 1;\n");
    let ended = project.run("rehearse").await;
    ended.must_exit(2);
    let found = commands(&ended);
    assert!(found.iter().any(|line| line.starts_with("::error file=migrations/1_a.up.sql,line=2,title=")), "{found:?}");
    let ended = project.run("migrate --target nowhere").await;
    ended.must_exit(2);
    let found = commands(&ended);
    assert!(found.iter().any(|line| line.starts_with("::error title=cargo xtask::")), "{found:?}");
}

#[tokio::test]
async fn of_each_url_the_password_alone_is_hidden() {
    let database = Database::create().await;
    let url = "postgres://owner:p%2Fss%2525word@db.example:5433/shop";
    let project = under_actions(project().items(1).on(&database))
        .write("rehearsal.toml", "[targets.dev]\n[targets.production]\nurl_env = 'THERE'\ndirect_url_env = 'DIRECT'\n")
        .variable("THERE", url)
        .variable("DIRECT", "host=db.example dbname=shop user=owner password=s3cond");
    let ended = project.run("status").await;
    ended.must_exit(0);
    let mut masks: Vec<&str> = ended.stderr.lines().filter_map(|line| line.strip_prefix("::add-mask::")).collect();
    // The server of the tests may have a password of its own.
    let own = database.url();
    masks.retain(|mask| !own.contains(&format!(":{mask}@")));
    masks.sort_unstable();
    // The value as it is, and as the URL has it; `%` is written as a command has it.
    assert_eq!(masks, ["p%252Fss%252525word", "p/ss%2525word", "s3cond"]);
    for shown in ["owner", "db.example", "shop"] {
        assert!(!masks.contains(&shown), "{shown} is no secret");
    }
    let silent = project.variable("GITHUB_ACTIONS", "").run("status").await;
    assert!(!silent.must_exit(0).text().contains("ss%25word"), "{}", silent.text());
}

#[tokio::test]
async fn json_stays_json() {
    let project = under_actions(project().migration("1_bad", "SELECT nonsense;\n", "SELECT 1;\n"));
    let ended = project.run("rehearse --json").await;
    ended.must_exit(1);
    let events = ended.events();
    assert_eq!(events.last().map(|event| event["error"]["place"]["line"].clone()), Some(1.into()));
    assert!(ended.stderr.contains("::error file=migrations/1_bad.up.sql,line=1,"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_summary_of_the_job_says_what_changed() {
    let newest = |project: Project, sql: &str| project.migration("4_more", sql, "UPDATE items SET n = 10;\n");
    let project = under_actions(project().items(1_000)).variable("GITHUB_OUTPUT", "output.txt");
    let project = newest(project, "UPDATE items SET n = 20;\n");
    project.run("rehearse").await.must_exit(0);
    let first = read(&project, "summary.md");
    assert!(first.starts_with("# ✓ rehearse: done\n") && !first.contains("## Since the rehearsal"), "{first}");
    // Later steps find the record by what this one gives.
    let output = read(&project, "output.txt");
    let record = output.trim().strip_prefix("record=").expect("NAME=VALUE");
    assert!(project.path(record).is_file(), "{output}");

    let more = newest(project, "UPDATE items SET n = 20 WHERE id > 300;\n");
    let ended = more.run("rehearse").await;
    ended.must_exit(0);
    let both = read(&more, "summary.md");
    let second = both.strip_prefix(&first).expect("it is added to what is there");
    assert!(second.contains("## Since the rehearsal of "), "{second}");
    assert!(second.contains("| files of version 4 |  | edited |"), "{second}");
    let rows = second.lines().find(|line| line.starts_with("| version 4 up |")).expect("its rows have changed");
    assert!(rows.contains("1,000 rows") && rows.contains("900 rows"), "{rows}");
    assert_eq!(second.trim_end(), ended.summary().trim_end(), "it is what stands beside the record");
}

#[tokio::test]
async fn a_summary_is_never_larger_than_what_is_shown() {
    let many: String = (0..8_000).map(|number| format!("SELECT {number}, repeat('|', 20);\n")).collect();
    let project = under_actions(project().migration("1_many", &many, "SELECT 1;\n"));
    project.change("summary.md", &"x".repeat(300_000));
    let database = Database::create().await;
    let project = project.on(&database);
    let ended = project.run("migrate").await;
    ended.must_exit(0);
    let summary = read(&project, "summary.md");
    let size = summary.len() as u64;
    assert!(size < LARGEST_SUMMARY && size > LARGEST_SUMMARY / 2, "{size} bytes");
    assert!(summary.contains("did not fit here.** All of it is in the record `"), "it says where the rest is");
    assert!(ended.summary().len() <= 60_000, "{} bytes", ended.summary().len());
}
